// Package search finds the highest load that a device, or a server, bears. It sends nothing and reads no clock: it says which trial to
// do next, is told what came of it, and ends with two loads, one that was borne and one that was not.
//
//	          ┌──────────── Trial: load, duration ─────────────┐
//	          │                                                ▼
//	Binary, MLR or Highest                            Measure: the caller's own
//	          ▲                                                │
//	          └──────────── Outcome: share lost ───────────────┘
//
// There are three searches:
//
//   - [Binary] halves the interval between a load that is borne and one that is not, as everybody does for RFC 2544 section 24.
//   - [MLR] is Multiple Loss Ratio search, RFC 9971: several goals at once (no loss, and half a percent, say), short trials first and
//     long ones near the result, several trials of a load that vote, and a result that says between which loads it lies.
//   - [Highest] is for what is not a loss ratio, a percentile of latency under a bound for example. It climbs, so it is not fooled by
//     low loads that fail, and reports them.
//
// A device that is measured is noisy, and hides overload in its buffers for a while. What a search says is therefore about the trials
// that were done: that at [Found.Lower] enough of them were good, and at [Found.Upper] too few. Shorter trials, or fewer, say less.
//
// Every search ends: it narrows its interval with each load, and does a bounded number of trials of a load. [Limits] bounds both trials
// and time on top; what is known by then is the result, and [Found.End] says that it was cut short.
package search
