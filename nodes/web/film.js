// A node that shows its newest frame while it draws, and its film when it is done, needs this: ComfyUI's page (frontends
// 1.27 to 1.49) prefers a live preview to an output even once the node has ended, and would go on showing the last still.
// In the second run it would take the stills for films and show none. So each is forgotten when the other's turn comes.
import { app } from "../../scripts/app.js";

const FILMS = new Set(["PlaymateRenderToVideo", "PlaymateTalk"]);
const STILLS = ["$$canvas-image-preview", "$$comfy_animation_preview"];
const FILM = "video-preview";

/** Where the page keeps what a node shows: by its id, inside a subgraph behind that subgraph's. */
function place(node) {
    const top = app.rootGraph ?? app.graph;
    return !node.graph || node.graph === top ? String(node.id) : `${node.graph.id}:${node.id}`;
}

function removeWidgets(node, names) {
    for (const widget of (node.widgets ?? []).filter(({ name }) => names.includes(name))) {
        widget.onRemove?.();
        node.widgets.splice(node.widgets.indexOf(widget), 1);
    }
}

function forgetStills(node) {
    removeWidgets(node, STILLS);
    node.imgs = undefined;
}

function forgetFilm(node) {
    removeWidgets(node, [FILM]);
    node.previewMediaType = node.videoContainer = node.images = node.animatedImages = undefined;
    if (app.nodeOutputs) delete app.nodeOutputs[place(node)];
}

function showEachInItsTurn(node) {
    const { onExecutionStart, onExecuted, onDrawBackground } = node;
    node.onExecutionStart = function () {
        forgetFilm(this);
        return onExecutionStart?.apply(this, arguments);
    };
    node.onExecuted = function () {
        if (app.nodePreviewImages) delete app.nodePreviewImages[place(this)];
        forgetStills(this);
        return onExecuted?.apply(this, arguments);
    };
    node.onDrawBackground = function () {
        if (this.animatedImages && this.imgs) forgetStills(this); // a still that had not been read when the film came
        return onDrawBackground?.apply(this, arguments);
    };
}

app.registerExtension({
    name: "Playmate.Film",
    nodeCreated(node) {
        if (FILMS.has(node.comfyClass)) showEachInItsTurn(node);
    },
});
