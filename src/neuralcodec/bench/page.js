"use strict";
// Each picture is in the page once, in its strip; the comparison below borrows two of them.
for (const view of document.querySelectorAll(".view")) {
  const compare = view.querySelector(".compare");
  const slider = compare.querySelector("input");
  for (const side of ["reference", "ours"]) {
    compare.querySelector(`img[data-of="${side}"]`).src = view.querySelector(`.strip img[data-is="${side}"]`).src;
  }
  const move = () => compare.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", move);
  move();
  compare.hidden = false;
}
