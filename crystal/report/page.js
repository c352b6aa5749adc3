// The page is whole without this: it only hides tasks that a reader does not look for, and opens all for print.
(function () {
  "use strict";
  document.documentElement.classList.add("script");
  document.querySelectorAll("form.filter").forEach(function (form) {
    var list = document.getElementById(form.dataset.list);
    var status = form.querySelector("output");
    function apply() {
      var text = form.elements.text.value.trim().toLowerCase();
      var verdict = form.elements.verdict.value;
      var shown = 0;
      list.querySelectorAll(":scope > details").forEach(function (task) {
        var fits = task.dataset.name.toLowerCase().includes(text) &&
          (!verdict || task.dataset.verdicts.split(" ").includes(verdict));
        task.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      status.textContent = shown + " shown";
    }
    form.addEventListener("input", apply);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (task) { task.open = true; });
  });
})();
