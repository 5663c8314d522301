// A real HTML table: selectable, sortable, read by screen readers, with links that keep the session.
// Every text arrives as data and is set through textContent; nothing here is ever parsed as HTML.

const SORTED = new WeakMap();

function follow(event, anchor) {
  // Modified clicks open tabs as everywhere. A plain click changes page in place: one history entry.
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  window.history.pushState({}, "", anchor.href);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

function fill(cell, td) {
  td.className = [cell.tone || "", cell.mono ? "mono" : "", cell.strong ? "strong" : ""].join(" ").trim();
  if (cell.title) td.title = cell.title;
  let home = td;
  if (cell.indent) td.style.paddingLeft = `${0.6 + cell.indent * 1.1}rem`;
  if (cell.href) {
    const anchor = element("a");
    anchor.href = cell.href;
    anchor.addEventListener("click", (event) => follow(event, anchor));
    td.append(anchor);
    home = anchor;
  }
  if (cell.swatch) {
    const swatch = element("span", "swatch");
    swatch.style.background = cell.swatch;
    home.append(swatch);
  }
  home.append(element("span", "text", cell.text));
  if (cell.sub) td.append(element("span", "sub", cell.sub));
  if (cell.bar !== undefined && cell.bar !== null) {
    const track = element("span", "track");
    track.setAttribute("aria-hidden", "true");
    const bar = element("span", `bar ${cell.tone || ""}`);
    bar.style.width = `${Math.max(0, Math.min(1, cell.bar)) * 100}%`;
    track.append(bar);
    td.append(track);
  }
  if (cell.lane) {
    const lane = element("span", "lane");
    lane.setAttribute("aria-hidden", "true");
    const bar = element("span", `bar ${cell.lane.tone || ""}`);
    bar.style.left = `${cell.lane.start * 100}%`;
    bar.style.width = `max(3px, ${cell.lane.width * 100}%)`;
    lane.append(bar);
    td.append(lane);
  }
}

function compare(a, b) {
  const [x, y] = [a.sort ?? null, b.sort ?? null];
  if (x === null || y === null) return x === y ? 0 : x === null ? -1 : 1;
  if (typeof x === "number" && typeof y === "number") return x - y;
  return String(x).localeCompare(String(y), "en", { numeric: true });
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  const order = SORTED.get(parentElement) ?? { column: -1, descending: true };

  const draw = (focused) => {
    const table = element("table");
    if (data.caption) table.append(element("caption", "", data.caption));
    const head = table.createTHead().insertRow();
    data.columns.forEach((column, index) => {
      const th = element("th", column.align);
      th.scope = "col";
      if (column.width) th.style.width = column.width;
      if (data.sortable) {
        const button = element("button", "", column.label);
        button.type = "button";
        if (column.title) button.title = column.title;
        const sorted = order.column === index;
        if (sorted) {
          th.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
          const arrow = element("span", "arrow", order.descending ? " ↓" : " ↑");
          arrow.setAttribute("aria-hidden", "true");
          button.append(arrow);
        }
        button.addEventListener("click", () => {
          order.descending = sorted ? !order.descending : true;
          order.column = index;
          SORTED.set(parentElement, order);
          draw(index);
        });
        th.append(button);
      } else {
        th.textContent = column.label;
        if (column.title) th.title = column.title;
      }
      head.append(th);
    });
    const rows = [...data.rows];
    if (order.column >= 0 && order.column < data.columns.length) {
      const sign = order.descending ? -1 : 1;
      rows.sort((a, b) => sign * compare(a[order.column], b[order.column]));
    }
    const body = table.createTBody();
    for (const row of rows) {
      const tr = body.insertRow();
      row.forEach((cell, index) => {
        const column = data.columns[index];
        const td = index === 0 && data.rowHeader ? element("th") : element("td");
        if (index === 0 && data.rowHeader) td.scope = "row";
        fill(cell, td);
        if (column.align === "right") td.classList.add("right");
        if (column.clip) td.classList.add("clip");
        tr.append(td);
      });
    }
    root.replaceChildren(table);
    if (focused !== undefined) table.querySelectorAll("thead button")[focused]?.focus();
  };
  draw();
}
