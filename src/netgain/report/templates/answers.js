(function () {
  "use strict";
  const box = document.getElementById("find");
  if (!box) return;
  const hits = Array.from(document.querySelectorAll(".hit")), shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  const texts = hits.map((hit) => (hit.dataset.search !== undefined ? hit.dataset.search : hit.textContent).toLowerCase());
  const links = Array.from(document.querySelectorAll("tr.hit a, .back a[rel]"));
  const plain = links.map((link) => link.getAttribute("href"));
  box.form.hidden = false;
  box.form.addEventListener("submit", (event) => event.preventDefault());
  function find() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    hits.forEach((hit, index) => {
      hit.hidden = !words.every((word) => texts[index].includes(word));
      if (!hit.hidden) count += 1;
    });
    for (const part of document.querySelectorAll("details.arm")) part.open = words.length > 0 && part.querySelector(".hit:not([hidden])") !== null;
    links.forEach((link, index) => link.setAttribute("href", plain[index] + (words.length ? "#find=" + encodeURIComponent(box.value) : "")));
    shown.textContent = words.length ? count + " of " + hits.length : "";
    if (nothing) nothing.hidden = count > 0;
  }
  box.addEventListener("input", find);
  if (location.hash.startsWith("#find=")) {
    try { box.value = decodeURIComponent(location.hash.slice(6)); } catch (error) { box.value = ""; }
    find();
  }
})();
