"use strict";
// Each picture is in the page once, in its strip; the comparison below borrows two of them.
for (const view of document.querySelectorAll(".view")) {
  const compare = view.querySelector(".compare");
  const slider = compare.querySelector("input");
  const choice = view.querySelector(".choice");
  const other = choice.querySelector("select");
  const source = kind => view.querySelector(`.strip img[data-is="${kind}"]`).src;
  compare.querySelector('img[data-of="ours"]').src = source("ours");
  const choose = () => {
    compare.querySelector('img[data-of="other"]').src = source(other.value);
    compare.querySelector(".first").textContent = other.selectedOptions[0].textContent;
  };
  const move = () => compare.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", move);
  other.addEventListener("change", choose);
  move();
  choose();
  compare.hidden = choice.hidden = false;
}
