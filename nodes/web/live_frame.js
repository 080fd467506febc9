// Shows the newest frame on a node while it renders, and takes it away when the node ends, so that the page's own player
// of the finished video takes its place. nodes/live_frame.py says why these frames are no previews of ComfyUI's own.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const EVENT = "playmate.live_frame";
const NODES = new Set(["PlaymateRenderToVideo", "PlaymateTalk"]);
const WIDGET = "playmate_live_frame";
const HEIGHT = 200; // of the frame on the node, in pixels
const shown = new Map(); // node -> its size before the frame was shown

/** The node that runs under this id; inside subgraphs it is the path there, with colons. */
function nodeAt(id) {
    let node, graph = app.rootGraph ?? app.graph;
    for (const part of String(id).split(":")) {
        node = graph?.getNodeById(Number(part));
        graph = node?.subgraph;
    }
    return node;
}

function newWidget(node) {
    const image = document.createElement("img");
    image.className = "playmate-live-frame";
    image.style.cssText = "width: 100%; height: 100%; object-fit: contain; pointer-events: none";
    const options = { serialize: false, getMinHeight: () => HEIGHT, getMaxHeight: () => HEIGHT };
    const widget = node.addDOMWidget(WIDGET, "img", image, options);
    widget.serialize = false; // the first is for what is run, this for what is saved
    return widget;
}

function show(node, picture) {
    let widget = node.widgets?.find(({ name }) => name === WIDGET);
    if (!widget) {
        shown.set(node, [...node.size]);
        widget = newWidget(node);
        node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
    }
    widget.element.src = picture;
    node.graph?.setDirtyCanvas(true, true);
}

function forget(node) {
    const widget = node.widgets?.find(({ name }) => name === WIDGET);
    if (widget) node.removeWidget(widget);
    if (shown.has(node)) node.setSize(shown.get(node));
    shown.delete(node);
}

function forgetAll() {
    for (const node of [...shown.keys()]) forget(node);
}

app.registerExtension({
    name: "Playmate.LiveFrame",
    setup() {
        api.addEventListener(EVENT, ({ detail }) => {
            const node = nodeAt(detail.node);
            if (node && NODES.has(node.comfyClass)) show(node, detail.image);
        });
        for (const ended of ["execution_start", "execution_interrupted", "execution_error"])
            api.addEventListener(ended, forgetAll);
    },
    nodeCreated(node) {
        if (!NODES.has(node.comfyClass)) return;
        const { onExecuted } = node;
        node.onExecuted = function () {
            forget(this);
            return onExecuted?.apply(this, arguments);
        };
    },
});
