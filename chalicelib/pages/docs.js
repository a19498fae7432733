"use strict";
// Shows the description of this deployment with Swagger UI, by day and by night, with the key that other pages asked for.
(() => {
  const prefix = document.body.dataset.prefix;
  const night = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => document.documentElement.classList.toggle("dark-mode", night.matches);
  dress();
  night.addEventListener("change", dress);

  const ui = SwaggerUIBundle({
    url: `${prefix}/openapi.json`,
    dom_id: "#api",
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    onComplete: () => {
      document.querySelector("#servers")?.setAttribute("aria-label", "Server");
      let key = null;
      try { key = sessionStorage.getItem(`sidereal key ${prefix}`); } catch { /* a browser that keeps nothing */ }
      if (key) ui.preauthorizeApiKey("bearer", key);
    },
  });
})();
