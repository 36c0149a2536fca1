// Every text that reaches beyond the page, or beyond a box that hides what does not fit.
() => {
  const width = document.documentElement.clientWidth;
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    // what only screen readers read is clipped on purpose
    if (element.closest("style, script, title, desc") || getComputedStyle(element).clipPath !== "none") continue;
    range.selectNodeContents(texts.currentNode);
    const right = range.getBoundingClientRect().right;
    let edge = width;
    for (let box = element; box; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") edge = Math.min(edge, box.getBoundingClientRect().right);
    }
    if (right > edge + 1) found.push(`${Math.round(right - edge)} px: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...new Set(found)];
}
