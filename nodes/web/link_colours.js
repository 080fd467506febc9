// A colour for every type of link of ours, so that a graph can be read from afar. ComfyUI's themes name only its own types.
import { app } from "../../scripts/app.js";

const COLOURS = {
    PLAYMATE_FACE: "#6fb1fc",
    PLAYMATE_MOTION_MODEL: "#b794f6",
    PLAYMATE_AUDIO_ENCODER: "#4fd1c5",
    PLAYMATE_CROP: "#f6ad55",
    PLAYMATE_PORTRAIT: "#68d391",
    PLAYMATE_AUDIO: "#38b2ac",
    PLAYMATE_EMOTION: "#f687b3",
    PLAYMATE_POSE: "#f6e05e",
    PLAYMATE_MOTION: "#fc8181",
    PLAYMATE_TAKES: "#e53e3e",
};

function colour() {
    const links = app.canvas?.constructor?.link_type_colors;
    const sockets = app.canvas?.default_connection_color_byType;
    for (const [type, value] of Object.entries(COLOURS)) {
        if (links) links[type] = value;
        if (sockets) sockets[type] = value;
        document.documentElement.style.setProperty(`--color-datatype-${type}`, value); // of Nodes 2.0
    }
    app.canvas?.setDirty?.(true, true);
}

app.registerExtension({
    name: "Playmate.LinkColours",
    setup: colour,
    // A theme takes away the colours of all types that it does not name, also the first one, which comes after setup.
    afterConfigureGraph: colour,
});
