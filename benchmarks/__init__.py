"""Speed and memory as ratios, measured in one process on the same weights and inputs. No test asks for a time."""
