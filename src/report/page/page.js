"use strict";
// Shows what a plot tells at a place: the texts stand in it, as titles, for pages without a script.
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const hint of document.querySelectorAll(".hint")) {
    const title = hint.querySelector("title");
    hint.dataset.text = title.textContent;
    title.remove();
  }
  let shown = null;
  const hide = () => {
    tip.hidden = true;
    if (shown) shown.classList.remove("on");
    shown = null;
  };
  const show = (event) => {
    const hint = event.target instanceof Element ? event.target.closest(".hint") : null;
    if (!hint) return hide();
    if (hint !== shown) {
      hide();
      shown = hint;
      hint.classList.add("on");
      tip.textContent = hint.dataset.text;
      tip.hidden = false;
    }
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
    tip.style.left = Math.max(4, Math.min(left, innerWidth - box.width - 4)) + "px";
    tip.style.top = Math.max(4, event.clientY - box.height - 14) + "px";
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", hide, { passive: true });
  document.documentElement.addEventListener("pointerleave", hide);
})();
