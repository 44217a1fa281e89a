// What all parts share: the data, elements made without markup, numbers and times as text.

const MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const byId = (name) => document.getElementById(name);
const redraws = []; // charts that a change of theme concerns
const readJson = (name) => JSON.parse(byId(name).textContent);
const result = readJson("result");

/** An element with text and attributes; text never becomes markup. */
function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const trades = result.trades.map((told) => ({
  ...told,
  opened: Date.parse(told.opened_at),
  closed: Date.parse(told.closed_at),
  entry: Number(told.entry_price),
  exit: Number(told.exit_price),
  net: Number(told.net_pnl),
  r: told.r_multiple === null ? null : Number(told.r_multiple),
  sign: told.side === "long" ? 1 : -1,
})).reverse(); // oldest first
const tradeById = new Map(trades.map((trade) => [trade.position_id, trade]));

const minus = (text) => text.replace("-", "−");
const fixed = (value, digits) =>
  minus(value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const signed = (value, digits = 2) => {
  const text = fixed(value, digits);
  return /[1-9]/.test(text) ? (value > 0 ? "+" : "") + text : text.replace("−", "");
};
const percent = (value) => `${signed(value)} %`;
const tone = (value) => (Math.abs(value) < 0.005 ? "flat" : value > 0 ? "gain" : "loss");
const words = (text) => text.replace("_", " ");
const digitsOf = (text) => (text.split(".")[1] || "").length;

/** `4 May 2025 03:48` in UTC. */
function moment(ms) {
  const iso = new Date(ms).toISOString();
  return `${Number(iso.slice(8, 10))} ${MONTHS[Number(iso.slice(5, 7)) - 1]} ${iso.slice(0, 4)} ${iso.slice(11, 16)}`;
}

function lengthOf(ms) {
  const minutes = Math.round(ms / MINUTE);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}

/** The number of values in a sorted array that are below `wanted`. */
function below(sorted, wanted) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
