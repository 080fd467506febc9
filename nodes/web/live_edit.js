// Draws one frame of Expression Edit again on the node whenever a slider moves, without queueing the graph, once the graph
// has run with a portrait and a face model connected. nodes/live_edit.py answers.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const NODE = "PlaymateExpressionEdit";
const ROUTE = "/playmate/redraw";
const WIDGET = "playmate_live_edit";
const HEIGHT = 220; // of the frame on the node, in pixels
const BUSY = 500; // milliseconds until it is asked again while a graph runs

function show(node, picture) {
    let widget = node.widgets.find(({ name }) => name === WIDGET);
    if (!widget) {
        const image = document.createElement("img");
        image.style.cssText = "width: 100%; height: 100%; object-fit: contain; pointer-events: none";
        const options = { serialize: false, getMinHeight: () => HEIGHT, getMaxHeight: () => HEIGHT };
        widget = node.addDOMWidget(WIDGET, "img", image, options);
        widget.serialize = false; // the first is for what is run, this for what is saved
        node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
    }
    widget.element.src = picture;
    node.graph?.setDirtyCanvas(true, true);
}

async function redraw(node) {
    const values = {};
    for (const { name, value } of node.widgets) if (name !== WIDGET) values[name] = value;
    const body = JSON.stringify({ node: String(node.id), values });
    const answer = await api.fetchApi(ROUTE, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const { image, busy } = answer.ok ? await answer.json() : {};
    if (image) show(node, image); // else the graph runs, or has not run yet
    return Boolean(busy);
}

/** At most one request at a time; the newest values are sent when it has been answered. */
function redrawer(node) {
    let busy = false, again = false;
    async function go() {
        if (busy) {
            again = true;
            return;
        }
        busy = true;
        try {
            while ((await redraw(node)) && node.graph) await new Promise((done) => setTimeout(done, BUSY));
        } finally {
            busy = false;
            if (again) {
                again = false;
                go();
            }
        }
    }
    // At once, for in a page that is slow to draw a timer waits for the next picture; further movement waits in `again`.
    return () => queueMicrotask(go);
}

app.registerExtension({
    name: "Playmate.LiveEdit",
    nodeCreated(node) {
        if (node.comfyClass !== NODE) return;
        const moved = redrawer(node);
        for (const widget of node.widgets ?? []) {
            const { callback } = widget;
            widget.callback = function () {
                const result = callback?.apply(this, arguments);
                moved();
                return result;
            };
        }
    },
});
