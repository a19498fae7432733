"use strict";
// Lets refresh.js ask for a new copy of the page as soon as the ledger's stream tells of a change that the page shows.
(() => {
  const HANDFUL_MS = 400; // changes often come together
  const { prefix } = document.body.dataset;
  const part = document.querySelector("#productions, #events");
  const isShown = ({ event }) => part.dataset.event === undefined || part.dataset.event === event;
  let source = null;
  let position = "";
  let timer = null;

  function hear(message) {
    position = message.lastEventId;
    if (message.type !== "reset" && !isShown(JSON.parse(message.data))) return;
    clearTimeout(timer);
    timer = setTimeout(() => document.dispatchEvent(new Event("stale")), HANDFUL_MS);
  }

  function follow() {
    const query = position && `?last_event_id=${encodeURIComponent(position)}`;
    source = new EventSource(`${prefix}/api/v1/stream${query}`);
    for (const type of ["event", "production", "reset"]) source.addEventListener(type, hear);
  }

  // A page in the background follows nothing; when it is seen again it goes on where it was.
  function turn() {
    source?.close();
    source = null;
    if (!document.hidden) follow();
  }

  document.addEventListener("visibilitychange", turn);
  turn();
})();
