"use strict";
(() => {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headings = Array.from(table.tHead.rows[0].cells);
  const names = rows.map((row) => row.cells[0].textContent);
  const count = document.getElementById("count");
  const input = document.getElementById("filter");

  // Sorting: numbers by their value, texts by the reader's alphabet, empty cells always last.
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const valueOf = (cell, isNumber) => {
    const text = cell.dataset.number ?? cell.textContent;
    return text === "" ? null : isNumber ? Number(text) : text;
  };
  const sortBy = (column) => {
    const heading = headings[column];
    const isNumber = heading.classList.contains("n");
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keyed = rows.map((row, index) => ({ row, index, key: valueOf(row.cells[column], isNumber) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.index - b.index;
      const order = isNumber ? a.key - b.key : collator.compare(a.key, b.key);
      return (descending ? -order : order) || a.index - b.index;
    });
    body.append(...keyed.map((item) => item.row));
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sortBy(column));
  });

  // Filtering: every word has to occur in the row's labels; digits of measures would match by chance.
  const labels = headings.map((heading) => "label" in heading.dataset);
  const texts = rows.map((row) => Array.from(row.cells).filter((_, column) => labels[column])
    .map((cell) => cell.textContent).join(" ").toLowerCase());
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += !row.hidden;
    });
    count.textContent = shown ? `${shown} of ${rows.length} parcels` : "No parcel holds all of these words";
  };
  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      input.value = "";
      filter();
    }
  });
  if (input.value) filter();

  // Which parcel each pixel of a picture shows, decoded when it is first asked for.
  const pictures = Array.from(document.querySelectorAll("img[data-scene]"));
  const scenes = Array.from(document.querySelectorAll("#scenes img"));
  const decoded = new Map();
  const decode = (picture) => {
    const scene = scenes[picture.dataset.scene];
    if (!decoded.has(scene)) {
      decoded.set(scene, (async () => {
        const image = new Image();
        image.src = scene.dataset.src;
        await image.decode();
        const canvas = document.createElement("canvas");
        const { naturalWidth: width, naturalHeight: height } = image;
        Object.assign(canvas, { width, height });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        const bytes = context.getImageData(0, 0, width, height).data;
        const parcels = new Int32Array(width * height);
        for (let i = 0; i < parcels.length; i += 1) parcels[i] = bytes[4 * i] + 256 * bytes[4 * i + 1] - 1;
        return { width, height, parcels };
      })());
    }
    return decoded.get(scene);
  };

  // A chosen parcel is seen alone: the rest fades into the panel, its outline is drawn.
  const colour = (name) => {
    const [r, g, b] = getComputedStyle(document.body).getPropertyValue(name).trim().slice(1).match(/../g);
    return [r, g, b].map((part) => Number.parseInt(part, 16));
  };
  let chosen = -1;
  const highlight = async (picture) => {
    const { width, height, parcels } = await decode(picture);
    const frame = picture.parentElement;
    const old = frame.querySelector("canvas");
    if (old) old.remove();
    if (chosen < 0) return;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d");
    const shade = context.createImageData(width, height);
    const [faded, line] = [colour("--panel"), colour("--text")];
    const inside = (i) => parcels[i] === chosen;
    for (let i = 0; i < parcels.length; i += 1) {
      const x = i % width;
      const edge = inside(i) && (!inside(i - width) || !inside(i + width) || x === 0 || !inside(i - 1) || x === width - 1 || !inside(i + 1));
      if (inside(i) && !edge) continue;
      shade.data.set([...(edge ? line : faded), edge ? 255 : 190], 4 * i);
    }
    context.putImageData(shade, 0, 0);
    frame.append(canvas);
  };
  const choose = (row) => {
    chosen = row === chosen ? -1 : row;
    rows.forEach((one, index) => {
      one.cells[0].querySelector("button").setAttribute("aria-pressed", String(index === chosen));
    });
    return Promise.all(pictures.map(highlight));
  };
  // Choosing in the table moves to the picture of the parcels that shows most of it, if any does.
  const show = async () => {
    for (const figure of document.querySelectorAll("figure.shows")) figure.classList.remove("shows");
    if (chosen < 0) return;
    const [row, own] = [chosen, pictures.filter((picture) => picture.closest("#pictures"))];
    const counts = await Promise.all(own.map(async (picture) => {
      const { parcels } = await decode(picture);
      return parcels.reduce((count, parcel) => count + (parcel === row), 0);
    }));
    const most = Math.max(0, ...counts);
    if (!most || row !== chosen) return;
    const figure = own[counts.indexOf(most)].closest("figure");
    figure.classList.add("shows");
    figure.scrollIntoView({ block: "center" });
  };
  rows.forEach((row, index) => {
    row.cells[0].querySelector("button").addEventListener("click", async () => {
      await choose(index);
      await show();
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (chosen >= 0) pictures.forEach(highlight);
  });

  // Pointing at a matrix names its two parcels, row and column, in the order of the table.
  for (const figure of document.querySelectorAll("figure[data-pairs]")) {
    const image = figure.querySelector("img");
    const caption = figure.querySelector("figcaption");
    const title = caption.textContent;
    const at = (share) => names[Math.min(Math.max(Math.floor(share * names.length), 0), names.length - 1)];
    image.addEventListener("pointermove", (event) => {
      const box = image.getBoundingClientRect();
      const [row, column] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      caption.textContent = `${at(row)}, ${at(column)}`;
    });
    image.addEventListener("pointerleave", () => {
      caption.textContent = title;
    });
  }

  // Pointing names the parcel in the picture's caption.
  for (const picture of pictures) {
    const caption = picture.closest("figure").querySelector("figcaption");
    const title = caption.textContent;
    const parcelAt = async (event) => {
      const { width, height, parcels } = await decode(picture);
      const box = picture.getBoundingClientRect();
      const x = Math.floor(((event.clientX - box.left) / box.width) * width);
      const y = Math.floor(((event.clientY - box.top) / box.height) * height);
      return x >= 0 && x < width && y >= 0 && y < height ? parcels[y * width + x] : -1;
    };
    picture.addEventListener("pointermove", async (event) => {
      const row = await parcelAt(event);
      caption.textContent = row < 0 ? title : `${title}: ${names[row]}`;
    });
    picture.addEventListener("pointerleave", () => {
      caption.textContent = title;
    });
    picture.addEventListener("click", async (event) => {
      const row = await parcelAt(event);
      if (row < 0) return;
      for (const figure of document.querySelectorAll("figure.shows")) figure.classList.remove("shows");
      choose(row);
    });
  }
})();
