"use strict";
// Lets refresh.js ask for a new copy of the page as soon as the ledger's stream tells of a change that the page shows.
(() => {
  const HANDFUL_MS = 400; // changes often come together
  const LONGEST_WAIT_MS = 60000;
  const { prefix } = document.body.dataset;
  const part = document.querySelector("#productions, #events");
  const isShown = ({ event }) => part.dataset.event === undefined || part.dataset.event === event;
  let source = null;
  let { position } = part.dataset; // of what the page was made from
  let timer = null;
  let wait = 1000;
  let again = null;

  function hear(message) {
    position = message.lastEventId;
    const change = JSON.parse(message.data);
    if (message.type !== "reset" && !isShown(change)) return;
    if (message.type === "event" && change.action === "deleted" && part.dataset.event) end();
    clearTimeout(timer);
    timer = setTimeout(() => document.dispatchEvent(new Event("stale")), HANDFUL_MS);
  }

  function follow() {
    source = new EventSource(`${prefix}/api/v1/stream?last_event_id=${encodeURIComponent(position)}`);
    for (const type of ["event", "production", "reset"]) source.addEventListener(type, hear);
    source.addEventListener("open", () => { wait = 1000; });
    source.addEventListener("error", () => {
      // Each answer of the stream ends so, and the browser asks again by itself, but for an answer that is an error.
      if (source.readyState !== EventSource.CLOSED) return;
      again = setTimeout(turn, wait);
      wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
    });
  }

  // A page in the background follows nothing; when it is seen again it goes on where it was.
  function turn() {
    clearTimeout(again);
    source?.close();
    if (!document.hidden) follow();
  }

  // Of an event that is gone nothing will be told.
  function end() {
    clearTimeout(again);
    source.close();
    document.removeEventListener("visibilitychange", turn);
  }

  document.addEventListener("visibilitychange", turn);
  turn();
})();
