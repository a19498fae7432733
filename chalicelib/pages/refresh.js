"use strict";
// Keeps parts of a page as fresh as a new copy of it. A part has an id and data-refresh="<seconds>"; its new copy may name
// other seconds. What did not change stays as it is in the page: focus, selection, open <details>, films that play. Members
// of a list that come and go have a data-key. `document.dispatchEvent(new Event("stale"))` asks for a copy at once; so does
// who comes back to the page, or to the network.
(() => {
  const LONGEST_WAIT_S = 30;
  const TIMEOUT_MS = 20000;
  const find = () => [...document.querySelectorAll("[data-refresh][id]")];
  let faults = 0;
  let timer = null;
  let isAsking = false;
  let isStale = false; // what is being asked for is older than what was told of

  function note(text) {
    let place = document.getElementById("stale");
    if (!place && !text) return;
    if (!place) {
      place = Object.assign(document.createElement("p"), { id: "stale", className: "stale" });
      place.setAttribute("role", "status");
      document.body.append(place);
    }
    place.hidden = !text;
    place.textContent = text;
  }

  // Whether details are open, and what is being done, is not the server's to say.
  const isOwn = (element, name) => name === "aria-disabled" || (name === "open" && element.tagName === "DETAILS");

  function setAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !isOwn(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (!isOwn(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  const keyOf = (node) => node.dataset?.key ?? (node.id || undefined);
  const isAlike = (old, fresh) => old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

  function drop(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  // Makes the children of one element those of another, and leaves alone the nodes that are the same.
  function morph(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    setAttributes(old, fresh);
    const known = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
    let place = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const match = keyOf(child) === undefined ? place : known.get(keyOf(child));
      if (!match || !isAlike(match, child)) {
        old.insertBefore(document.importNode(child, true), place);
        continue;
      }
      // What has the focus would lose it by being moved: what stands before it goes instead.
      if (match.contains(document.activeElement)) while (place && place !== match) place = drop(place);
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      if (match.nodeType === Node.ELEMENT_NODE) morph(match, child);
      else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
    }
    while (place) place = drop(place);
  }

  async function refresh() {
    clearTimeout(timer);
    if (isAsking) isStale = true;
    if (isAsking || !find().length) return;
    isAsking = true;
    isStale = false;
    try {
      const answer = await fetch(location.href, { cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
      // Gone: nothing will come any more.
      if (answer.status === 404) return note("This was deleted.");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const copy = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of find()) {
        const fresh = copy.getElementById(part.id);
        if (fresh) morph(part, fresh);
      }
      faults = 0;
      note("");
    } catch {
      faults += 1;
      note("No answer from the server; asking again.");
    } finally {
      isAsking = false;
    }
    if (isStale && !faults) return refresh();
    wait();
  }

  function wait() {
    const seconds = Math.min(...find().map((part) => Number(part.dataset.refresh)));
    if (Number.isFinite(seconds)) timer = setTimeout(whenSeen, 1000 * Math.min(LONGEST_WAIT_S, seconds * 2 ** faults));
  }

  // A page in the background asks nothing.
  function whenSeen() {
    if (!document.hidden) refresh();
    else document.addEventListener("visibilitychange", whenSeen, { once: true });
  }

  document.addEventListener("stale", refresh);
  addEventListener("online", whenSeen);
  addEventListener("pageshow", ({ persisted }) => {
    const isBack = persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    if (isBack) refresh(); // what is shown is as old as the visit before
  });
  wait();
})();
