// Light or dark: as the system is, until the button says otherwise.

(() => {
  const button = byId("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  function apply() {
    button.textContent = isDark() ? "Light" : "Dark";
    for (const chart of redraws) chart.draw();
  }
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    apply();
  });
  system.addEventListener("change", apply);
  button.hidden = false;
  apply();
})();
