// Parses one text a call, folds the tree into a digest, and keeps the last trees alive.
var calls = 0, digest = 0x811c9dc5 | 0, total = 0, window = [];

function fold(text) {
  for (var i = 0; i < text.length; i++) {
    digest = Math.imul(digest ^ text.charCodeAt(i), 16777619);
  }
}

function walk(node) {
  var count = 1;
  fold(node.type);
  for (var key in node) {
    var children = Array.isArray(node[key]) ? node[key] : [node[key]];
    for (var i = 0; i < children.length; i++) {
      if (children[i] && typeof children[i].type === "string") count += walk(children[i]);
    }
  }
  return count;
}

function step(i) {
  var tree = esprima.parseScript(texts[i % texts.length]);
  var nodes = walk(tree);
  calls++;
  total += nodes;
  window.push(tree);
  if (window.length > 24) window.shift();
  return "call " + i + ": nodes=" + nodes + " total=" + total + " kept=" + window.length
      + " digest=" + (digest >>> 0).toString(16);
}
