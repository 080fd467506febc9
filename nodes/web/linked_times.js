// The sockets of widgets that take times accept numbers too: the definition names the further types in "linkable".
import { app } from "../../scripts/app.js";

function widen(node) {
    const { required, optional } = node.constructor.nodeData?.input ?? {};
    for (const slot of node.inputs ?? []) {
        const further = (required?.[slot.name] ?? optional?.[slot.name])?.[1]?.linkable;
        if (further && slot.widget) slot.type = ["STRING", ...further].join(",");
    }
}

app.registerExtension({
    name: "Playmate.LinkedTimes",
    nodeCreated: widen,
    loadedGraphNode: widen, // a saved graph brings the types that its sockets had
});
