"use strict";
// The page of a target: selects files, starts pipelines on them, asks for observations and cancels them.
(() => {
  const { prefix, call, act, confirm, CallError } = sidereal;
  const find = (id) => document.getElementById(id);
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  // --- what is selected: it outlives the page of the gallery, until the tab is closed ---

  const form = find("pipeline-form");
  const target = Number(form.dataset.target);
  const STORE = `sidereal selection ${prefix} ${target}`;
  const boxes = () => [...find("gallery").querySelectorAll(".gallery input[type=checkbox]")]; // the first files may come later
  const selected = new Set(kept());
  let last = null;

  function kept() {
    try {
      const ids = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
      return Array.isArray(ids) ? ids.filter(Number.isInteger) : [];
    } catch { return []; } // a browser that keeps nothing
  }

  function showSelection() {
    const here = boxes().filter((box) => selected.has(Number(box.value))).length;
    const elsewhere = selected.size - here;
    const where = elsewhere ? ` (${elsewhere} of them on other pages)` : "";
    const text = selected.size ? `${count(selected.size, "file")} selected${where}` : "No file is selected.";
    for (const box of boxes()) box.checked = selected.has(Number(box.value));
    if (find("selected")) find("selected").textContent = text;
    find("selected-input").textContent = selected.size
      ? `The selected ${count(selected.size, "file")}${where}` : "The selected files: none yet";
  }

  function select(some, isSelected) {
    const wasEmpty = !selected.size;
    for (const box of some) {
      if (isSelected) selected.add(Number(box.value));
      else selected.delete(Number(box.value));
    }
    // Who begins to select means to use that.
    if (wasEmpty && selected.size) form.elements.inputs.value = "selected";
    keepSelection();
  }

  function keepSelection() {
    try { sessionStorage.setItem(STORE, JSON.stringify([...selected])); } catch { /* as above */ }
    showSelection();
  }

  const selectors = {
    all: () => select(boxes(), true),
    fits: () => select(boxes().filter((box) => "fits" in box.dataset), true),
    none: () => { selected.clear(); keepSelection(); },
  };

  find("gallery").addEventListener("click", ({ target: pressed, shiftKey }) => {
    const button = pressed.closest("[data-select]");
    if (button) selectors[button.dataset.select]();
    if (!pressed.matches("input[type=checkbox]")) return;
    // With Shift also all between this one and the last; the keyboard's Shift and Space come as a click, too.
    const all = boxes();
    const ends = [all.indexOf(pressed), all.indexOf(shiftKey && last ? last : pressed)];
    select(all.slice(Math.min(...ends), Math.max(...ends) + 1), pressed.checked);
    last = pressed;
  });

  // --- faults, told beside the field that they are about ---

  const faultOf = (field) => find(field.getAttribute("aria-describedby").split(" ").at(-1));

  function showFault(field, text) {
    const place = faultOf(field);
    place.textContent = place.textContent ? `${place.textContent} ${text}` : text;
    field.setAttribute("aria-invalid", "true");
  }

  function clearFaults(whole) {
    for (const field of whole.querySelectorAll("[data-field]")) {
      field.removeAttribute("aria-invalid");
      faultOf(field).textContent = "";
    }
  }

  const isShown = (field) => !field.closest("[hidden]");
  const fieldsOf = (whole) => [...whole.querySelectorAll("[data-field]")].filter(isShown);

  // Tells faults ([name, text]) beside their fields; returns those that are about none of them.
  function tell(whole, faults) {
    const left = faults.filter(([name, text]) => {
      const isAbout = (known) => name === known || name.startsWith(`${known}.`);
      const field = fieldsOf(whole).find((each) => each.dataset.field.split(" ").some(isAbout));
      if (!field) return true;
      const known = field.dataset.field.split(" ").find(isAbout);
      const path = name.slice(known.length + 1);
      showFault(field, path ? `${path}: ${text}` : text);
      return false;
    });
    whole.querySelector("[aria-invalid]")?.focus();
    return left;
  }

  // Asks the browser about every field, and tells what it says; returns whether all is well.
  function isComplete(whole) {
    const wrong = fieldsOf(whole).filter((field) => "validity" in field && !field.validity.valid && !field.matches("fieldset"));
    return !tell(whole, wrong.map((field) => [field.dataset.field.split(" ")[0], field.validationMessage])).length && !wrong.length;
  }

  class FieldError extends CallError {
    constructor(name, text) { super(text, { fields: [[name, text]] }); }
  }

  function submit(whole, place, work) {
    whole.addEventListener("submit", (event) => {
      event.preventDefault();
      act(whole.querySelector("button.primary"), place, async () => {
        clearFaults(whole);
        if (!isComplete(whole)) return;
        try {
          await work();
        } catch (error) {
          if (!error.fields?.length) throw error;
          const left = tell(whole, error.fields);
          if (left.length) throw new CallError(left.map(([name, text]) => (name ? `${name}: ${text}` : text)).join(" "));
        }
      });
    });
  }

  // --- starting a pipeline ---

  const parts = [...form.querySelectorAll("[data-pipeline]")];
  const chosen = () => parts[find("pipeline").selectedIndex];

  function showPipeline() {
    for (const part of parts) part.hidden = part !== chosen();
  }

  async function fitsFiles() {
    const suffixes = form.dataset.fitsSuffixes.split(" ");
    const isFits = ({ name, data_product_type: type }) =>
      type === "fits_file" || suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
    const found = [];
    for (let next = ""; next !== null;) {
      const page = await call("GET", `/api/dataproducts/?target=${target}&limit=500${next && `&next=${encodeURIComponent(next)}`}`);
      found.push(...page.results.filter(isFits).map(({ id }) => id));
      next = page.next && new URL(page.next, location.href).searchParams.get("next");
    }
    if (!found.length) throw new FieldError("products", "The target has no FITS files.");
    return found;
  }

  async function inputs() {
    const kind = form.elements.inputs.value;
    if (kind === "group") return { group: Number(find("group").value) };
    if (kind === "fits") return { products: await fitsFiles() };
    if (!selected.size) throw new FieldError("products", "No file is selected above.");
    return { products: [...selected].sort((one, other) => one - other) };
  }

  // The values that are not the defaults; these are for the server to know.
  function options(part) {
    const given = {};
    for (const field of part.querySelectorAll("[data-option]")) {
      const { option, kind } = field.dataset;
      const text = kind === "boolean" ? String(field.checked) : field.value.trim();
      if (text === field.dataset.default || (text === "" && kind !== "string")) continue;
      try {
        if (kind === "string") given[option] = text;
        else given[option] = field.type === "number" ? Number(text) : JSON.parse(text);
      } catch {
        throw new FieldError(`options.${option}`, "This is no JSON: a list looks like [[10, 20], [30.5, 40]].");
      }
    }
    return given;
  }

  function flags(part) {
    return Object.fromEntries([...part.querySelectorAll("[data-flag]")].map((box) => [box.dataset.flag, box.checked]));
  }

  // Files that were deleted since they were selected are selected no longer: nobody could take them off.
  function dropGone({ fields = [] }) {
    const told = fields.map(([name, text]) => name === "products" && /^(?:Invalid pk "|Data product )(\d+)/.exec(text));
    const gone = told.filter(Boolean).map(([, id]) => Number(id)).filter((id) => selected.delete(id));
    if (!gone.length) return;
    keepSelection();
    const [files, them] = gone.length === 1 ? ["One selected file was", "it"] : [`${gone.length} selected files were`, "them"];
    throw new FieldError("products", `${files} deleted since; the selection is without ${them} now.`);
  }

  find("pipeline").addEventListener("change", showPipeline);
  submit(form, find("start-fault"), async () => {
    const part = chosen();
    const body = { target, pipeline: part.dataset.pipeline, flags: flags(part), options: options(part), ...await inputs() };
    try {
      const process = await call("POST", "/api/pipeline/", body);
      location.assign(`${prefix}/pipeline/${process.id}`);
    } catch (error) {
      if (form.elements.inputs.value === "selected") dropGone(error);
      throw error;
    }
  });

  // --- observations ---

  const observing = find("observe-form");
  const utc = (text) => (text.length === 16 ? `${text}:00Z` : `${text}Z`);

  if (observing) {
    submit(observing, find("observe-fault"), async () => {
      find("observe-done").textContent = "";
      const template = find("template").selectedOptions[0];
      const times = [["start", find("start-time").value], ["end", find("end-time").value]];
      const overrides = Object.fromEntries(times.filter(([, text]) => text).map(([name, text]) => [name, utc(text)]));
      const email = find("email").value.trim();
      const body = { target, template_name: template.value, facility: template.dataset.facility, overrides, email };
      await call("POST", "/api/observe/", body, { isOpen: true });
      find("observe-done").textContent = `It was asked for. ${email} will be written to.`;
      document.dispatchEvent(new Event("stale"));
    });
  }

  find("observation-list").addEventListener("click", (event) => {
    const button = event.target.closest("[data-cancel]");
    if (!button) return;
    act(button, find("cancel-fault"), async () => {
      if (!await confirm(`Cancel the observation ${button.dataset.name}?`, "Cancel it")) return;
      await call("PATCH", `/api/observations/${button.dataset.cancel}/cancel/`);
      document.dispatchEvent(new Event("stale"));
    });
  });

  // --- films play while they are seen, unless less motion is asked for ---

  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    const seen = new IntersectionObserver((entries) => {
      for (const { target: film, isIntersecting } of entries) {
        if (isIntersecting) film.play().catch(() => {}); // a browser may refuse; its controls are there
        else film.pause();
      }
    }, { threshold: 0.5 });
    for (const film of document.querySelectorAll("video")) seen.observe(film);
  }

  showPipeline();
  showSelection();
})();
