// The colours a person has chosen, before anything is painted. Without a choice the system's count.
"use strict";
try {
  const chosen = localStorage.getItem("netwatchd-colours");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.colours = chosen;
} catch { /* storage is forbidden: the system's count */ }
