const element = (id) => document.getElementById(id);
const said = element("said");
const data = JSON.parse(element("data").textContent);
const { parcels, paintings } = data;

// Arrays and NiiVue itself lie in the page as gzip in base64.
const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
};
const isDark = matchMedia("(prefers-color-scheme: dark)");
const backColor = () => (isDark.matches ? [0.08, 0.09, 0.1, 1] : [0.984, 0.984, 0.98, 1]);
const GREY = [168, 168, 168];
const FADED = 0.8; // Share of grey in parcels beside a chosen one.
const APART = 25; // mm that each hemisphere is moved to its side.
// NiiVue's own shaders brighten colours beyond white or add highlights, so that pale values of a
// scale run together. Here light is only taken away: what faces the viewer has its colour exactly.
const SHADER = `#version 300 es
precision highp int;
precision highp float;
uniform float opacity;
in vec4 vClr;
in vec3 vN;
out vec4 color;
void main() {
  float facing = max(dot(normalize(vN), vec3(0.0, 0.0, -1.0)), 0.0);
  color = vec4(vClr.rgb * (0.5 + 0.5 * facing), opacity);
}`;
// A slice cuts a mesh where it is seen from its edge: light that comes from the viewer would leave it dark.
const FLAT = `#version 300 es
precision highp int;
precision highp float;
uniform float opacity;
in vec4 vClr;
out vec4 color;
void main() {
  color = vec4(vClr.rgb, opacity);
}`;
const STRIPED = 90;
const REST = 120; // ms that the pointer rests until it is told what lies under it.
const FROM = { left: [90, 0], right: [270, 0], front: [180, 0], back: [0, 0], above: [0, 90], below: [0, -90] };

const nifti = (volume, values) => {
  // A header of NIfTI-1: bytes, what they are, and the matrix from voxels to mm.
  const out = new ArrayBuffer(352 + values.byteLength);
  const view = new DataView(out);
  const [i16, f32] = [(at, v) => view.setInt16(at, v, true), (at, v) => view.setFloat32(at, v, true)];
  view.setInt32(0, 348, true);
  [3, ...volume.shape, 1, 1, 1, 1].forEach((size, axis) => i16(40 + 2 * axis, size));
  const wide = values.BYTES_PER_ELEMENT === 2;
  // Labels: NiiVue looks other numbers up in 256 steps, in which more rows would run together.
  if (wide) i16(68, 1002);
  i16(70, wide ? 512 : 2);
  i16(72, wide ? 16 : 8);
  f32(76, 1);
  [0, 1, 2].forEach((axis) => f32(80 + 4 * axis, Math.hypot(...volume.affine.slice(0, 3).map((row) => row[axis]))));
  f32(108, 352);
  f32(112, 1);
  view.setUint8(123, 2);
  i16(254, 1);
  volume.affine.slice(0, 3).forEach((row, i) => row.forEach((v, j) => f32(280 + 16 * i + 4 * j, v)));
  [0x6e, 0x2b, 0x31].forEach((byte, i) => view.setUint8(344 + i, byte));
  new Uint8Array(out, 352).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return out;
};
const mz3 = (positions, faces, colors) => {
  // Surfice's format: magic number, what it holds (faces, vertices, colours), how many of each.
  const out = new ArrayBuffer(16 + faces.byteLength + positions.byteLength + colors.byteLength);
  const view = new DataView(out);
  view.setUint16(0, 23117, true);
  view.setUint16(2, 7, true);
  view.setUint32(4, faces.length / 3, true);
  view.setUint32(8, positions.length / 3, true);
  let at = 16;
  for (const array of [faces, positions, colors]) {
    new Uint8Array(out, at).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    at += array.byteLength;
  }
  return out;
};
const invert = (m) => {
  const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = m;
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const r = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((v) => v / det));
  return r.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)]);
};
const times = (m, p) => m.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);

const start = async () => {
  const source = new Blob([await unpack(element("niivue").textContent)], { type: "text/javascript" });
  const address = URL.createObjectURL(source);
  const { Niivue } = await import(address);
  URL.revokeObjectURL(address);
  for (const volume of data.volumes) {
    volume.labels = new Uint16Array(await unpack(volume.rows));
    volume.inverse = invert(volume.affine);
  }
  for (const mesh of data.meshes) {
    mesh.labels = new Uint16Array(await unpack(mesh.rows));
    mesh.triangles = new Int32Array(await unpack(mesh.faces));
    for (const name of Object.keys(mesh.shapes)) {
      mesh.shapes[name] = new Float32Array(await unpack(mesh.shapes[name]));
    }
    if (mesh.anatomical) mesh.anatomical = new Float32Array(await unpack(mesh.anatomical));
  }
  for (const painting of paintings) painting.rgba = new Uint8Array(await unpack(painting.colors));
  const hasVolumes = data.volumes.length > 0;
  const hasMeshes = data.meshes.length > 0;
  const nv = new Niivue({
    backColor: backColor(),
    crosshairColor: [0.9, 0.2, 0.2, 1],
    crosshairWidth: 0.3,
    crosshairWidthUnit: "percent",
    dragAndDropEnabled: false,
    fontColor: [0.5, 0.5, 0.5, 1],
    isNearestInterpolation: true,
    isSliceMM: true,
    loadingText: "",
    logLevel: "error",
    meshThicknessOn2D: 2,
    show3Dcrosshair: true,
    showAllOrientationMarkers: true,
  });
  await nv.attachToCanvas(element("picture"));
  nv.opts.atlasOutline = 1; // Else voxels at the border of a parcel let the image behind shine through.
  globalThis.niivue = nv; // For the browser's console.
  const [lit, flat] = [nv.setCustomMeshShader(SHADER, "colours kept"), nv.setCustomMeshShader(FLAT, "flat")];
  const blank = () => {
    nv.opts.backColor = backColor();
    element("stage").style.backgroundColor = "transparent";
    nv.drawScene();
  };

  let painting = paintings[paintings.length > 1 ? 1 : 0];
  let chosen = 0;
  let shape = element("shape")?.value ?? Object.keys(data.meshes[0]?.shapes ?? { "": 0 })[0];
  // Of the parcels beside a chosen one the colours are faded.
  const colorOf = (row) => {
    const own = [...painting.rgba.subarray(4 * row, 4 * row + 4)];
    if (!chosen || row === chosen || !row) return own;
    return [...own.slice(0, 3).map((v, i) => (1 - FADED) * v + FADED * GREY[i]), own[3]];
  };
  const vertexColors = (mesh) => {
    const table = [[...GREY, 255], ...parcels.map((_, i) => colorOf(i + 1))];
    const out = new Uint8Array(4 * mesh.labels.length);
    mesh.labels.forEach((row, vertex) => out.set(table[row], 4 * vertex));
    return out;
  };
  // Grey parcels are told from the grey behind by stripes, which are labels of their own.
  const hatched = [...new Set(paintings.flatMap((one) => one.hatched))];
  const stripeOf = (row) => {
    const own = colorOf(row);
    if (!painting.hatched.includes(row)) return own;
    const step = own[0] + own[1] + own[2] < 384 ? STRIPED : -STRIPED;
    return [...own.slice(0, 3).map((v) => v + step), own[3]];
  };
  const stripe = (volume) => {
    const numbers = new Map(hatched.map((row, index) => [row, parcels.length + 1 + index]));
    const [width, height] = volume.shape;
    return volume.labels.map((row, at) => {
      if (!numbers.has(row)) return row;
      const [i, j, k] = [at % width, Math.floor(at / width) % height, Math.floor(at / width / height)];
      return (i + j + k) % 3 ? row : numbers.get(row);
    });
  };
  const labelColors = () => {
    const table = [[0, 0, 0, 0], ...parcels.map((_, i) => colorOf(i + 1)), ...hatched.map(stripeOf)];
    const [R, G, B, A] = [0, 1, 2, 3].map((channel) => table.map((color) => Math.round(color[channel])));
    return { R, G, B, A, I: table.map((_, row) => row), labels: ["", ...parcels.map((parcel) => parcel.name), ...hatched.map((row) => parcels[row - 1].name)] };
  };
  const isSliced = () => hasVolumes && nv.opts.sliceType !== 4;
  const positionsOf = (mesh) => {
    // Slices cut the surface where it lies in mm.
    const own = (isSliced() && mesh.anatomical) || (mesh.shapes[shape] ?? Object.values(mesh.shapes)[0]);
    const shift = !isSliced() && element("apart")?.checked ? APART * { L: -1, R: 1, "": 0 }[mesh.hemisphere] : 0;
    return shift ? own.map((v, i) => (i % 3 ? v : v + shift)) : own;
  };
  const showMeshes = async () => {
    for (const mesh of [...nv.meshes]) nv.removeMesh(mesh);
    for (const mesh of data.meshes) {
      mesh.positions = positionsOf(mesh);
      const buffer = mz3(mesh.positions, mesh.triangles, vertexColors(mesh));
      const added = await nv.addMeshFromUrl({ url: `${mesh.compartment}.mz3`, buffer });
      nv.setMeshShader(added.id, isSliced() ? flat : lit);
    }
  };
  const repaint = () => {
    data.meshes.forEach((mesh, number) => {
      if (!nv.meshes[number]) return; // It is about to be shown anew, in these colours.
      nv.meshes[number].rgba255 = vertexColors(mesh);
      nv.meshes[number].updateMesh(nv.gl);
    });
    if (hasVolumes) {
      for (const volume of data.volumes) volume.image.setColormapLabel(labelColors());
      nv.updateGLVolume();
    }
    nv.drawScene();
  };
  if (hasVolumes) {
    const [first] = data.volumes;
    const grey = new Uint8Array(await unpack(first.grey));
    const options = { url: "grey.nii", name: "grey.nii", colormap: "gray", cal_min: 0, cal_max: 255 };
    await nv.addVolumeFromUrl({ ...options, buffer: nifti(first, grey) });
    for (const volume of data.volumes) {
      const name = `${volume.compartment}.nii`;
      await nv.addVolumeFromUrl({ url: name, name, buffer: nifti(volume, hatched.length ? stripe(volume) : volume.labels) });
      volume.image = nv.volumes[nv.volumes.length - 1];
      volume.image.setColormapLabel(labelColors());
    }
    nv.updateGLVolume();
  }
  await showMeshes();

  // In 3-D the image behind would hide the cortex on meshes.
  const LAYOUTS = {
    "slices and 3-D": [3, 1],
    slices: [3, 0],
    "3-D": [4, 0],
    axial: [0, 0],
    coronal: [1, 0],
    sagittal: [2, 0],
  };
  const layout = element("layout");
  // NiiVue takes no clicks into slices beyond the box of the volumes, where meshes may reach.
  const aim = (place) => {
    nv.scene.crosshairPos = isSliced() ? place.map((v) => Math.max(0, Math.min(1, v))) : place;
  };
  const arrange = async () => {
    const [type, render] = LAYOUTS[layout?.value ?? "3-D"];
    nv.opts.multiplanarShowRender = render;
    nv.setSliceType(type);
    aim([...nv.scene.crosshairPos]);
    if (!hasVolumes || !hasMeshes) return;
    nv.setOpacity(0, type === 4 ? 0 : 1);
    await showMeshes();
    nv.drawScene();
  };
  if (layout) {
    const names = Object.keys(LAYOUTS).filter((name) => !hasMeshes || name !== "slices and 3-D");
    for (const name of names) layout.add(new Option(name));
    layout.value = hasMeshes ? "3-D" : names[0];
    layout.addEventListener("change", arrange);
  }
  await arrange();
  const turn = (name) => {
    const [azimuth, elevation] = FROM[name];
    nv.setRenderAzimuthElevation(azimuth, elevation);
  };
  const from = element("from");
  from.addEventListener("change", () => {
    if (from.value) turn(from.value);
    from.value = "";
  });
  turn(data.meshes.length === 1 && data.meshes[0].hemisphere === "R" ? "right" : "left");
  if (!hasMeshes) nv.setRenderAzimuthElevation(135, 20);

  // The list: names as they are, for text nodes never turn into markup.
  const list = element("list");
  const buttons = parcels.map((parcel, index) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    const name = document.createElement("span");
    name.textContent = parcel.name;
    const value = document.createElement("span");
    value.className = "n";
    button.append(swatch, name, value);
    button.addEventListener("click", () => (chosen === index + 1 ? choose(0) : choose(index + 1)));
    item.append(button);
    list.append(item);
    return button;
  });
  const mark = (row) => {
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index + 1 === row)));
    const button = buttons[row - 1];
    // Only the list scrolls, not the page.
    if (button) list.scrollTop = button.offsetTop - list.offsetTop - list.clientHeight / 2;
  };
  const number = (value) => value.toFixed(1).replace("-", "−");
  const tell = (row, where) => {
    const parcel = parcels[row - 1];
    said.replaceChildren();
    if (!parcel) {
      said.append(["No parcel", ...where].join("; "));
      return;
    }
    const name = document.createElement("strong");
    name.textContent = parcel.name;
    const facts = [`key ${parcel.key}`, parcel.compartment];
    if (parcel.hemisphere) facts.push(parcel.hemisphere === "L" ? "left hemisphere" : "right hemisphere");
    if (parcel.network) facts.push(`network ${parcel.network}`);
    for (const one of paintings) if (one.texts.length) facts.push(`${one.title}: ${one.texts[row - 1]}`);
    said.append(name, ` ${[...facts, ...where].join("; ")}`);
  };
  const place = (mm) => `at ${[...mm].slice(0, 3).map(number).join(", ")} mm`;
  const vertexPlace = (mesh, vertex) => {
    const where = [`vertex ${vertex} of ${mesh.compartment}`];
    if (mesh.anatomical) where.push(place(mesh.anatomical.subarray(3 * vertex, 3 * vertex + 3)));
    return where;
  };
  const nearest = (mm) => {
    let best = { distance: Infinity };
    for (const mesh of data.meshes) {
      const p = mesh.positions;
      for (let i = 0; i < p.length; i += 3) {
        const distance = (p[i] - mm[0]) ** 2 + (p[i + 1] - mm[1]) ** 2 + (p[i + 2] - mm[2]) ** 2;
        if (distance < best.distance) best = { mesh, vertex: i / 3, distance };
      }
    }
    best.distance = Math.sqrt(best.distance);
    return best;
  };
  const voxelAt = (mm) => {
    for (const volume of data.volumes) {
      const at = times(volume.inverse, mm).map(Math.round);
      if (at.some((v, axis) => v < 0 || v >= volume.shape[axis])) continue;
      const row = volume.labels[at[0] + volume.shape[0] * (at[1] + volume.shape[1] * at[2])];
      if (row) return row;
    }
    return 0;
  };
  // How far a click on a triangle can lie from the nearest of its corners.
  for (const mesh of data.meshes) {
    const [t, p] = [mesh.triangles, mesh.positions];
    let longest = 0;
    for (let i = 0; i < t.length; i += 3) {
      const [a, b] = [3 * t[i], 3 * t[i + 1]];
      longest = Math.max(longest, Math.hypot(p[a] - p[b], p[a + 1] - p[b + 1], p[a + 2] - p[b + 2]));
    }
    mesh.reach = longest + 1;
  }
  const findAt = (mm) => {
    const row = voxelAt(mm);
    const near = row ? {} : nearest(mm);
    if (near.mesh && near.distance <= near.mesh.reach) {
      return { row: near.mesh.labels[near.vertex], where: vertexPlace(near.mesh, near.vertex) };
    }
    return { row, where: [place(mm)] };
  };
  const tellAt = (mm) => {
    const { row, where } = findAt(mm);
    tell(row, where);
    mark(row);
  };
  let quiet = true;
  nv.onLocationChange = (location) => {
    if (!quiet) tellAt(location.mm);
  };
  // In 3-D NiiVue itself looks under double clicks alone, and in the box of the volumes. Here it
  // draws once more what lies where, in depth, without the crosshair, and is asked for the place in
  // mm before it is held against that box. Of volumes it tells the place as a share of the box.
  const look = (x, y) => {
    const before = nv.scene.crosshairPos;
    const { show3Dcrosshair } = nv.opts;
    let mm = null;
    nv.mousePos = [x, y];
    nv.uiData.mouseDepthPicker = true;
    nv.opts.show3Dcrosshair = false;
    nv.mm2frac = (place) => {
      mm ??= [...place].slice(0, 3);
      return before;
    };
    quiet = true;
    nv.drawScene();
    quiet = false;
    delete nv.mm2frac;
    nv.opts.show3Dcrosshair = show3Dcrosshair;
    if (mm) {
      nv.scene.crosshairPos = nv.mm2frac(mm);
      return { mm, isMesh: true };
    }
    if (nv.scene.crosshairPos === before) return null;
    return { mm: [...nv.frac2mm(nv.scene.crosshairPos)].slice(0, 3), isMesh: false };
  };
  const lookAround = (x, y) => {
    let found = null;
    // A depth in 256 looks like a volume's mark; the pixel beside it does not.
    for (const [right, down] of [[0, 0], [1, 0], [0, 1]]) {
      found = look(x + right, y + down);
      if (!found || found.isMesh || voxelAt(found.mm)) break;
    }
    return found;
  };
  const pick = (x, y) => {
    const found = lookAround(x, y);
    nv.drawScene();
    if (found) {
      tellAt(found.mm);
    } else {
      said.textContent = "Nothing there.";
      mark(0);
    }
  };
  let down = null;
  const picture = element("picture");
  const pixelOf = (event) => {
    const box = picture.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((v) => v * nv.uiData.dpr);
  };
  // What lies under the pointer, without moving the crosshair.
  const peek = (x, y) => {
    const tile = nv.tileIndex(x, y);
    if (tile >= 0 && nv.inRenderTile(x, y) < 0) {
      const share = nv.screenXY2TextureFrac(x, y, tile, false);
      return share[0] < 0 ? null : [...nv.frac2mm(share)].slice(0, 3);
    }
    if (nv.inRenderTile(x, y) < 0) return null;
    const before = nv.scene.crosshairPos;
    const found = lookAround(x, y);
    nv.scene.crosshairPos = before;
    nv.drawScene();
    return found && found.mm;
  };
  const hover = element("hover");
  let resting = 0;
  const hide = () => {
    clearTimeout(resting);
    hover.hidden = true;
  };
  const point = (event) => {
    const mm = peek(...pixelOf(event));
    const row = mm ? findAt(mm).row : 0;
    hover.hidden = !row;
    if (!row) return;
    const value = painting.texts[row - 1];
    hover.textContent = value ? `${parcels[row - 1].name}: ${value}` : parcels[row - 1].name;
    const [box, own] = [picture.getBoundingClientRect(), hover.getBoundingClientRect()];
    // Beside the pointer, within the picture.
    const [x, y] = [event.clientX - box.left + 14, event.clientY - box.top + 14];
    hover.style.left = `${Math.max(0, Math.min(x, box.width - own.width))}px`;
    hover.style.top = `${y + own.height > box.height ? y - own.height - 20 : y}px`;
  };
  picture.addEventListener("pointermove", (event) => {
    hide();
    // Fingers click; a pressed button turns or slices.
    if (event.pointerType !== "touch" && !event.buttons) resting = setTimeout(point, REST, event);
  });
  for (const name of ["pointerleave", "pointerdown", "wheel"]) picture.addEventListener(name, hide, { passive: true });
  picture.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  picture.addEventListener("pointerup", (event) => {
    if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 4) return;
    const at = pixelOf(event);
    if (nv.inRenderTile(...at) >= 0) pick(...at);
  });
  const show = (row) => {
    const { place: found } = parcels[row - 1];
    if (!found) {
      tell(row, ["it has no locations"]);
      return;
    }
    const [kind, which, index] = found;
    let mm;
    let where;
    if (kind === "mesh") {
      const mesh = data.meshes[which];
      mm = [...mesh.positions.subarray(3 * index, 3 * index + 3)];
      where = vertexPlace(mesh, index);
      // Turned to who looks: away from the middle of its hemisphere.
      const middle = [0, 0, 0];
      mesh.positions.forEach((v, i) => { middle[i % 3] += (3 * v) / mesh.positions.length; });
      const [x, y, z] = mm.map((v, axis) => v - middle[axis]);
      const elevation = (Math.atan2(z, Math.hypot(x, y)) * 180) / Math.PI;
      nv.setRenderAzimuthElevation((((Math.atan2(-x, -y) * 180) / Math.PI) + 360) % 360, Math.max(-60, Math.min(60, elevation)));
    } else {
      const { shape: size, affine } = data.volumes[which];
      const at = [index % size[0], Math.floor(index / size[0]) % size[1], Math.floor(index / size[0] / size[1])];
      mm = times(affine.slice(0, 3), at);
      where = [place(mm)];
    }
    aim([...nv.mm2frac(mm)]);
    tell(row, where);
  };
  const choose = (row) => {
    chosen = row;
    element("all").hidden = !row;
    repaint();
    if (row) show(row);
    mark(row);
    nv.drawScene();
  };
  element("all").addEventListener("click", () => choose(0));
  const find = element("find");
  const sift = () => {
    const text = find.value.trim().toLowerCase();
    let count = 0;
    parcels.forEach((parcel, index) => {
      const facts = [parcel.name, parcel.key, parcel.compartment, parcel.network ?? ""].join(" ").toLowerCase();
      buttons[index].parentElement.hidden = !facts.includes(text);
      count += facts.includes(text);
    });
    element("count").textContent = text ? `${count} of ${parcels.length} parcels` : "";
  };
  find.addEventListener("input", sift);

  const legend = () => {
    buttons.forEach((button, index) => {
      const [r, g, b] = painting.rgba.subarray(4 * index + 4);
      button.firstChild.style.background = `rgb(${r} ${g} ${b})`;
      button.lastChild.textContent = painting.texts[index] ?? "";
    });
    const { low, high, unit, beyond, gradient } = painting.scale;
    element("scale").hidden = !gradient;
    if (element("networks")) element("networks").hidden = Boolean(gradient);
    if (!gradient) return;
    element("low").textContent = low;
    element("high").textContent = `${high} ${unit}`.trim();
    element("beyond").textContent = beyond;
    document.querySelector("#scale .bar").style.background = `linear-gradient(to right, ${gradient})`;
  };
  element("painting")?.addEventListener("change", (event) => {
    painting = paintings[Number(event.target.value)];
    legend();
    repaint();
  });
  for (const id of ["shape", "apart"]) {
    element(id)?.addEventListener("change", async () => {
      shape = element("shape")?.value ?? shape;
      await showMeshes();
      nv.drawScene();
    });
  }
  element("opacity")?.addEventListener("input", (event) => {
    data.volumes.forEach((_, number) => nv.setOpacity(number + 1, Number(event.target.value)));
  });
  isDark.addEventListener("change", blank);
  legend();
  blank();
  said.textContent = "Point at a parcel to see its name; click it, or choose one in the list, for more.";
  quiet = false;
  document.documentElement.dataset.ready = "yes";
};

const canvas = document.createElement("canvas");
if (typeof DecompressionStream === "undefined" || !canvas.getContext("webgl2")) {
  said.textContent = "This browser has no WebGL 2, which the picture needs: a newer one, or one with its graphics turned on, shows it.";
} else {
  start().catch((error) => {
    said.textContent = `The picture could not be shown: ${error.message ?? error}`;
  });
}
