(function () {
  "use strict";
  const form = document.querySelector(".filters");
  if (!form) return;
  const rows = Array.from(document.querySelectorAll("tr[data-search]"));
  const [setting, model, text] = ["by-setting", "by-model", "by-text"].map((id) => document.getElementById(id));
  const shown = document.getElementById("shown"), nothing = document.getElementById("nothing");
  document.querySelector(".choices").hidden = false;
  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = Boolean((setting.value && row.dataset.setting !== setting.value)
        || (model.value && row.dataset.model !== model.value)
        || !words.every((word) => row.dataset.search.includes(word)));
      if (getComputedStyle(row).display !== "none") count += 1; // the two rows of buttons filter by style alone
    }
    shown.textContent = count === rows.length ? rows.length + " shown" : count + " of " + rows.length + " shown";
    nothing.hidden = count > 0;
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
})();
