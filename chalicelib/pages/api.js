"use strict";
// What the other scripts of a page share: calls of the API in the name of whoever has a key, and what is told of them.
//
//   await sidereal.call("POST", "/api/pipeline/", body)   the JSON of the answer (null where there is none)
//
// It throws an Error whose message can be shown to people: `status` is that of the answer (0 without one), `fields` is a
// list of [name, text] of what was refused, and `isGivenUp` is set where somebody closed the dialog that asks for the key.
const sidereal = (() => {
  const prefix = document.body.dataset.prefix;
  const STORE = `sidereal key ${prefix}`; // stages of one deployment share a host, and keys are of a stage
  const TIMEOUT_MS = 60000;
  const REPEATS_MS = [1000, 3000, 8000];
  const find = (id) => document.getElementById(id);
  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  const unanswered = new Map(); // what was sent without an answer -> its Idempotency-Key

  class CallError extends Error {
    constructor(message, { status = 0, fields = [], isGivenUp = false } = {}) {
      super(message);
      Object.assign(this, { name: "CallError", status, fields, isGivenUp });
    }
  }

  // --- the key ---

  let key = null;
  try { key = sessionStorage.getItem(STORE); } catch { /* a browser that keeps nothing: the key lasts as long as the page */ }

  function keep(value) {
    key = value;
    try {
      if (key === null) sessionStorage.removeItem(STORE);
      else sessionStorage.setItem(STORE, key);
    } catch { /* as above */ }
    find("forget").hidden = key === null;
  }

  // Opens a dialog and resolves to whether its form was sent. Escape closes it, and focus returns to where it was.
  function openDialog(dialog, accept = () => true) {
    const form = dialog.querySelector("form");
    const before = document.activeElement;
    return new Promise((resolve) => {
      let isAccepted = false;
      const send = (event) => {
        event.preventDefault();
        if (!accept()) return;
        isAccepted = true;
        dialog.close();
      };
      const giveUp = () => dialog.close();
      form.addEventListener("submit", send);
      form.querySelector("[data-close]").addEventListener("click", giveUp);
      dialog.addEventListener("close", () => {
        form.removeEventListener("submit", send);
        form.querySelector("[data-close]").removeEventListener("click", giveUp);
        if (before && before.isConnected) before.focus();
        resolve(isAccepted);
      }, { once: true });
      dialog.showModal();
    });
  }

  let asking = null;

  // One dialog for all calls that wait for the key.
  function askForKey(complaint) {
    asking ||= (async () => {
      const input = find("key");
      const fault = find("key-fault");
      fault.textContent = complaint;
      input.value = "";
      const isGiven = await openDialog(find("key-dialog"), () => {
        const isKey = /^[\x21-\x7e]+$/.test(input.value.trim());
        if (!isKey) fault.textContent = "That is no key: it has letters, digits and signs, and no spaces.";
        return isKey;
      });
      const value = input.value.trim();
      input.value = "";
      if (!isGiven) throw new CallError("Nothing was sent: this needs a key.", { isGivenUp: true });
      keep(value);
    })().finally(() => { asking = null; });
    return asking;
  }

  // --- what is told of a refusal ---

  // Both families of errors: {"error", "details": [{"loc", "msg"}]}, and {"detail"} or {field: [texts] or {member: ...}}.
  function fieldsOf(body, path = []) {
    if (Array.isArray(body?.details)) return body.details.map(({ loc, msg }) => [loc.join("."), msg]);
    return Object.entries(body ?? {}).flatMap(([name, value]) => {
      const at = name === "detail" ? path : [...path, name];
      if (Array.isArray(value)) return value.map((text) => [at.join("."), String(text)]);
      return value !== null && typeof value === "object" ? fieldsOf(value, at) : [];
    });
  }

  function refusal(answer, body) {
    const fields = fieldsOf(body);
    const texts = fields.map(([name, text]) => (name ? `${name}: ${text}` : text));
    const told = body?.detail ?? body?.error ?? body?.message;
    if (typeof told === "string" && !fields.length) texts.unshift(told);
    const about = body?.request_id ? ` (request ${body.request_id})` : "";
    const message = (texts.join("; ") || `The server answered ${answer.status}.`) + about;
    return new CallError(message, { status: answer.status, fields });
  }

  // --- calls ---

  function identify(method, path, body) {
    const parts = body instanceof FormData
      ? [...body].map(([name, value]) => [name, value instanceof File ? [value.name, value.size, value.lastModified] : value])
      : body;
    return JSON.stringify([method, path, parts]);
  }

  function newKey() {
    // `crypto.randomUUID` is missing where a page comes over plain HTTP from another machine.
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function send(method, path, body, repeatKey) {
    const headers = { Accept: "application/json" };
    if (key !== null && method !== "GET") headers.Authorization = `Bearer ${key}`;
    if (repeatKey) headers["Idempotency-Key"] = repeatKey;
    const isForm = body instanceof FormData;
    if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
    return fetch(prefix + path, {
      method, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS),
      body: isForm || body === undefined ? body : JSON.stringify(body),
    });
  }

  // Repeats what may be repeated: a POST goes with the same Idempotency-Key, so that it is done once.
  async function sendUntilAnswered(method, path, body, repeatKey) {
    for (let tries = 0; ; tries++) {
      const isLast = tries >= REPEATS_MS.length || (method !== "GET" && !repeatKey);
      try {
        const answer = await send(method, path, body, repeatKey);
        // 504 is the gateway's, which waits no longer; 409 with Retry-After: the first attempt is still being worked on.
        const isBusy = answer.status === 504 || (answer.status === 409 && answer.headers.has("Retry-After"));
        if (!isBusy || isLast) return answer;
        await pause(Math.max(REPEATS_MS[tries], 1000 * Math.min(10, answer.headers.get("Retry-After") || 0)));
      } catch {
        if (isLast) throw new CallError("There was no answer. Is there a connection? Trying again does no harm.");
        await pause(REPEATS_MS[tries]);
      }
    }
  }

  // `isOpen`: also those without a key may do this; they are asked for one only where the API wants it.
  async function call(method, path, body, { isOpen = method === "GET" } = {}) {
    const identity = identify(method, path, body);
    const repeatKey = method === "POST" ? unanswered.get(identity) ?? newKey() : null;
    if (repeatKey) unanswered.set(identity, repeatKey);
    try {
      if (key === null && !isOpen) await askForKey("");
      let answer = await sendUntilAnswered(method, path, body, repeatKey);
      while (answer.status === 401) {
        const isWrong = key !== null;
        keep(null);
        await askForKey(isWrong ? "The server does not know that key." : "");
        answer = await sendUntilAnswered(method, path, body, repeatKey);
      }
      const text = await answer.text();
      let json = null;
      try { json = text ? JSON.parse(text) : null; } catch { /* not from the API: a proxy's page, say */ }
      if (answer.status < 500) unanswered.delete(identity);
      if (!answer.ok) throw refusal(answer, json);
      return json;
    } catch (error) {
      if (error instanceof CallError) throw error;
      throw new CallError("The answer broke off. Trying again does no harm.");
    }
  }

  // --- what people press ---

  // Lets `work` run once at a time for a button, and tells in `place` (an element with role="alert") what went wrong.
  async function act(button, place, work) {
    if (button.getAttribute("aria-disabled") === "true") return;
    // Not `disabled`, which would throw away the focus.
    button.setAttribute("aria-disabled", "true");
    place.textContent = "";
    try {
      await work();
    } catch (error) {
      if (!error.isGivenUp) place.textContent = error instanceof CallError ? error.message : "This page has a fault.";
      if (!(error instanceof CallError)) throw error;
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  // Resolves to whether somebody agrees.
  function confirm(question, label) {
    find("question").textContent = question;
    find("agree").textContent = label;
    return openDialog(find("confirm-dialog"));
  }

  find("forget").addEventListener("click", () => keep(null));
  keep(key);

  return { prefix, call, act, confirm, CallError };
})();
