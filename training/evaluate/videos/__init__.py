"""Videos of a person against the real ones: the paper's Tables 1 and 2 on any files."""
