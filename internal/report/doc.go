// Package report is what a traffic generator tells of a run, while it goes on and afterwards.
//
//	generator's Totals, every second ─► Recorder ─► Second: a line, the Prometheus page
//	                                        │
//	                                        ▼ at the end
//	                                     Result ─► summary, JSON, HDR log, HTML
//	                                        ▲
//	          Results of other workers ─► Merge
//
// A generator hands its totals so far ([Totals]) to a [Recorder] once a second, and gets what that second added. The Recorder makes
// of them a [Result], which is what goes into a file: counters, errors by kind, histograms and a series with an entry for each second.
// Nothing in it is an average of averages, so that the results of any number of workers can be put together without loss ([Merge]):
// counters add, histograms add bucket by bucket, and the series are aligned by the second of wall time. Percentiles are only ever
// computed from a histogram.
//
// Names are in snake case, as those of package metrics. A generator may use any; those that have a meaning here are:
//
//	counters    started, done, failed, connects, retransmissions, bytes_sent, bytes_received
//	histograms  connect, first_byte, total, schedule_error: nanoseconds
//
// [ParseExpectations] reads conditions such as "p99<5ms,errors<0.1%", which a Result then meets or not.
//
// Nothing in this package reads the clock or opens a socket; who calls it does.
package report
