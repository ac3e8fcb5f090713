// Applies the chosen colours before the first paint. Without a choice, the system decides.
"use strict";
try {
  const chosen = localStorage.getItem("netwatchd-colours");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.colours = chosen;
} catch { /* storage is forbidden: the system decides */ }
