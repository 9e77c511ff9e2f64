// Package alerts has Prometheus itself read what deploy/ has for it: its parser the expressions of the alerts and of the dashboard for
// Grafana, and its engine the series in testdata/alerts_test.yaml, for which some alerts must fire and others must not. It is a module of its
// own, so that xdpstack itself does not depend on Prometheus; "make test" runs it.
package alerts
