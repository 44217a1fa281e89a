// The list of trades: sorted by any column, filtered, and each a way to its candles.

(() => {
  const table = byId("trade-table");
  if (!table) return;
  const AT_ONCE = 50;
  const columns = [
    ["Opened", (trade) => trade.opened, (trade) => moment(trade.opened)],
    ["Symbol", (trade) => trade.symbol, (trade) => trade.symbol, "text"],
    ["Net PnL", (trade) => trade.net, (trade) => signed(trade.net)],
    ["R", (trade) => trade.r, (trade) => (trade.r === null ? "–" : signed(trade.r))],
    ["Side", (trade) => trade.side, (trade) => trade.side, "text"],
    ["Closed by", (trade) => trade.close_reason, (trade) => words(trade.close_reason) + (trade.ambiguous ? " *" : ""), "text"],
    ["Entry", (trade) => trade.entry, (trade) => price(trade, "entry_price")],
    ["Exit", (trade) => trade.exit, (trade) => price(trade, "exit_price")],
    ["Held", (trade) => trade.closed - trade.opened, (trade) => lengthOf(trade.closed - trade.opened)],
    ["Strategy", (trade) => trade.strategy, (trade) => trade.strategy, "text"],
    ["Quantity", (trade) => Number(trade.quantity), (trade) => trade.quantity],
    ["Fees", (trade) => Number(trade.fees), (trade) => fixed(Number(trade.fees), 2)],
    ["Funding", (trade) => Number(trade.funding), (trade) => signed(Number(trade.funding))],
  ];
  const filters = ["symbol", "strategy", "side", "close_reason"];
  let [sorted, falls, shown] = [0, true, AT_ONCE];
  const heads = [];
  const body = make("tbody");

  function order(left, right) {
    const [, key] = columns[sorted], a = key(left), b = key(right);
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // what has no value comes last
    const sense = a < b ? -1 : a > b ? 1 : left.closed - right.closed;
    return falls ? -sense : sense;
  }

  function isWanted(trade) {
    const text = byId("filter-text").value.trim().toLowerCase(), kind = byId("filter-result").value;
    if (filters.some((name) => byId(`filter-${name}`).value && byId(`filter-${name}`).value !== trade[name])) return false;
    if ((kind === "won" && !(trade.net > 0)) || (kind === "lost" && !(trade.net < 0))) return false;
    if (kind === "ambiguous" && !trade.ambiguous) return false;
    return !text || `${trade.position_id} ${trade.opened_at} ${moment(trade.opened)}`.toLowerCase().includes(text);
  }

  function row(trade) {
    const made = make("tr");
    columns.forEach(([name, , write, kind], at) => {
      const cell = at ? make("td", write(trade)) : make("th", "", { scope: "row" });
      if (!at) {
        const button = make("button", write(trade), { type: "button", "aria-label": `Show ${trade.position_id} on the candles` });
        button.addEventListener("click", () => {
          showTrade(trade);
          byId("chart").scrollIntoView({ block: "start" });
          byId("candle-chart").focus({ preventScroll: true });
        });
        cell.append(button);
      }
      if (kind) cell.className = kind;
      if (name === "Net PnL" || name === "R") cell.className = tone(name === "R" ? trade.r || 0 : trade.net);
      made.append(cell);
    });
    return made;
  }

  function fill() {
    const wanted = trades.filter(isWanted).sort(order), won = wanted.filter((trade) => trade.net > 0).length;
    body.replaceChildren(...wanted.slice(0, shown).map(row));
    const net = wanted.reduce((sum, trade) => sum + trade.net, 0);
    const guesses = wanted.some((trade) => trade.ambiguous) ? " · * stop and target in one candle: the stop was assumed" : "";
    byId("trades-told").textContent = wanted.length
      ? `${wanted.length} of ${trades.length} · net ${signed(net)} · ${fixed((won / wanted.length) * 100, 1)} % won${guesses}`
      : "No trade fits.";
    const more = byId("more-trades");
    more.hidden = wanted.length <= shown;
    more.textContent = `Show more (${wanted.length - shown} left)`;
    heads.forEach((head, at) => head.setAttribute("aria-sort", at === sorted ? (falls ? "descending" : "ascending") : "none"));
  }

  function again() {
    shown = AT_ONCE;
    fill();
  }

  function options(chooser, pairs) {
    chooser.append(...pairs.map(([value, text]) => make("option", text, { value })));
    chooser.addEventListener("change", again);
  }

  const line = make("tr");
  columns.forEach(([name, , , kind], at) => {
    const head = make("th", "", { scope: "col", class: kind || "" }), button = make("button", name, { type: "button" });
    button.addEventListener("click", () => {
      falls = sorted === at ? !falls : !kind;
      sorted = at;
      again();
    });
    head.append(button);
    heads.push(head);
    line.append(head);
  });
  const top = make("thead");
  top.append(line);
  table.append(top, body);
  for (const name of filters) {
    const known = [...new Set(trades.map((trade) => trade[name]))].sort();
    options(byId(`filter-${name}`), [["", "all"], ...known.map((value) => [value, words(value)])]);
  }
  const kinds = [["", "all"], ["won", "won"], ["lost", "lost"]];
  if (trades.some((trade) => trade.ambiguous)) kinds.push(["ambiguous", "ambiguous"]);
  options(byId("filter-result"), kinds);
  byId("filter-text").addEventListener("input", again);
  byId("filter-clear").addEventListener("click", () => {
    for (const name of [...filters, "result", "text"]) byId(`filter-${name}`).value = "";
    again();
  });
  byId("more-trades").addEventListener("click", () => {
    shown += 4 * AT_ONCE;
    fill();
  });
  fill();
})();
