// Every text on the page whose contrast with what lies behind it is below WCAG's 4.5:1, or 3:1 where it is large.
() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  // any colour that CSS knows, as red, green, blue in 0..255 and alpha in 0..1
  const parsed = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) =>
    0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  const chain = (element) => (element ? [...chain(element.parentElement), element] : []);
  const canvasColour = (() => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "Canvas";
    const found = parsed(getComputedStyle(probe).color);
    probe.remove();
    return found;
  })();
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest("style, script, title, desc")) continue;
    const style = getComputedStyle(element);
    const ancestors = chain(element).map((one) => getComputedStyle(one));
    const behind = ancestors.reduce((below, one) => over(parsed(one.backgroundColor), below), canvasColour);
    const colour = parsed(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    colour[3] *= ancestors.reduce((product, one) => product * Number(one.opacity), 1);
    const [dark, light] = [luminance(over(colour, behind)), luminance(behind)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)}: ${text.data.trim().slice(0, 40)} (${element.tagName} ${element.className})`);
    }
  }
  return [...new Set(found)];
}
