// Numbers of a page, side by side. Every text arrives as data and is set through textContent.

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

export default function ({ data, parentElement }) {
  const list = element("dl", "tiles");
  data.tiles.forEach((tile, index) => {
    const box = element("div", "tile");
    const label = element("dt", "", tile.label);
    if (tile.help) {
      const id = `help-${index}`;
      const button = element("button", "help", "?");
      button.type = "button";
      button.setAttribute("aria-label", `About ${tile.label}`);
      button.setAttribute("aria-describedby", id);
      const bubble = element("span", "bubble", tile.help);
      bubble.id = id;
      bubble.setAttribute("role", "tooltip");
      label.append(button, bubble);
    }
    box.append(label, element("dd", "value", tile.value));
    for (const note of tile.notes) box.append(element("dd", `note ${note.tone}`, note.text));
    list.append(box);
  });
  parentElement.querySelector(".root").replaceChildren(list);
}
