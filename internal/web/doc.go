// Package web shows a running stack to those who watch it: Prometheus, orchestrators, people with a browser, profilers.
//
//	/            the dashboard: a page that asks for /live once a second
//	/live        what the dashboard and xdpstack top show, as JSON
//	/metrics     all counters, for Prometheus
//	/healthz     200 while the shards answer, else 503
//	/readyz      200 while the process accepts work, else 503: it starts, it drains, its interface is gone
//	/debug/pprof/  Go's profiles
//
// A [Site] has all of that. The process gives it on its control socket and, if it is told to, on a TCP port ([Site.Listen]): there nothing
// can be changed, and there are no profiles unless they are asked for.
//
// However many watch, the shards are asked a few times a second at most: an answer serves everybody who asks within 200 ms of it.
//
// The names of metrics are made from those of the counters ([stack.ShardStats] and what is in it) and stay stable: they are listed in
// testdata/names.txt, and a test compares. Counters that count drops are one metric, xdpstack_drops_total, with the reason as a label.
package web
