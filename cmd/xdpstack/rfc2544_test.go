package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/gen/rfc2544"
	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// twoPorts makes a network with both of its ports in the stack's namespace, and returns their names.
func twoPorts(t *testing.T, path impair.Config) (lab *netlab.Lab, from, to string) {
	t.Helper()
	lab = netlab.ForTest(t, netlab.Config{Name: "rfc2544", Hop: true})
	if err := lab.Kernel.MoveTo(lab.Stack); err != nil {
		t.Fatal(err)
	}
	err := lab.Stack.Do(func() error {
		other, err := netlink.LinkByName(lab.Kernel.Interface)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(other)
	})
	if err != nil {
		t.Fatal(err)
	}
	hop.ForTest(t, lab.Hop.Do, hop.Config{A: lab.Hop.Stack.Interface, B: lab.Hop.Kernel.Interface, AB: path, Seed: 1})
	return lab, lab.Stack.Interface, lab.Kernel.Interface
}

func TestRFC2544(t *testing.T) {
	const rate = 5000
	lab, from, to := twoPorts(t, impair.Config{Rate: rate * 508 * 8, QueueLen: 40})
	args := func(more ...string) []string {
		return append([]string{"rfc2544", "-i", from, "--to", to, "--line-rate", "1Gbit", "--wait", "10ms", "--settle", "1ms",
			"--trial", "100ms", "--shortfall", "5%"}, more...)
	}
	t.Run("JSON", func(t *testing.T) {
		code, out, errs := inside(t.Context(), lab, nil, args("--json", "--sizes", "512,9000", "--search", "mlr", "--pdr", "2%", "--width", "3%",
			"--tests", "throughput,latency", "--latency-trials", "1", "--max-rate", "50kpps")...)
		var r rfc2544.Report
		if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil || len(r.Rows) != 2 {
			t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
		}
		row := r.Rows[0]
		got := row.Throughput[0]
		// 40 frames that wait in the end are 400 a second in such a trial. A machine too busy to send has no regular result.
		if got.Goal != "PDR" || got.Rate > 1.1*(rate+400) || got.Regular && (got.Lower > 1.1*(rate+400) || got.Upper < 0.9*rate) {
			t.Errorf("throughput %+v, the network's is %d", got, rate)
		}
		if row.Latency == nil || row.Latency.Frames == 0 || row.Latency.Min < 1000 {
			t.Errorf("latency %+v", row.Latency)
		}
		if r.Rows[1].Size != 9000 || !strings.Contains(r.Rows[1].Skipped, "MTU") || len(r.Deviations) == 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("table", func(t *testing.T) {
		code, out, errs := inside(t.Context(), lab, nil, args("--sizes", "512", "--tests", "loss,back-to-back", "--bursts", "1", "--burst", "20ms",
			"--max-rate", "10kpps", "--loss-step", "60%")...)
		for _, want := range []string{"Frame loss rate", "Back-to-back", "not RFC 2544 to the letter"} {
			if code != exitOK || !strings.Contains(out, want) {
				t.Errorf("exit code %d, no %q in\n%s%s", code, want, out, errs)
			}
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		code, out, errs := inside(ctx, lab, nil, args("--csv", "--sizes", "64,512", "--tests", "loss", "--loss-step", "2%", "--max-rate", "1kpps")...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if code != exitFailure || err != nil || len(rows) < 3 {
			t.Errorf("exit code %d, %v, %d rows; want those of the first rates\n%s%s", code, err, len(rows), out, errs)
		}
	})
}

func TestRFC2544Reflected(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rfc2544", BothKernel: true})
	ctx, cancel := context.WithCancel(t.Context())
	log := &output{}
	done := make(chan int, 1)
	go func() {
		code := -1
		_ = lab.Kernel.Do(func() error { // code tells
			code = run(ctx, []string{"reflect", "-i", lab.Kernel.Interface, "--all"}, streams{out: log, err: log})
			return nil
		})
		done <- code
	}()
	log.waitFor(t, "WARNING")
	code, out, errs := inside(t.Context(), lab, nil, "rfc2544", "-i", lab.Stack.Interface, "--reflected", "--target",
		lab.Kernel.Address.Addr().String(), "--target-mac", net.HardwareAddr(lab.Kernel.MAC[:]).String(), "--sizes", "64", "--tests", "loss",
		"--trial", "100ms", "--max-rate", "2kpps", "--json", "--loss-step", "50%")
	var r rfc2544.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || len(r.Rows) != 1 || len(r.Rows[0].Loss) == 0 || r.Rows[0].Loss[0].Received == 0 {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("reflect: exit code %d\n%s", code, log)
	}
}

func TestRFC2544Refuses(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"", "-i IFACE"},
		{"-i a", "--to IFACE2"},
		{"-i a --to b --reflected", "at one place"},
		{"-i a --to a", "--reflected"},
		{"-i a --reflected", "--target ADDR"},
		{"-i a --to b --tests speed", "back-to-back"},
		{"-i a --to b --sizes 10", "64 to 9216"},
		{"-i a --to b --search linear", "binary or mlr"},
		{"-i a --to b --ndr", "mlr"},
		{"-i a --to b --search mlr --pdr 2", "0.5%"},
		{"-i a --to b --json --csv", "--json or --csv"},
		{"-i a --to b --queues 0", "--queues 0"},
		{"-i a --to b --trial 1us", "1ms or more"},
		{"-i a --to b --max-rate 1furlong", "furlong"},
	} {
		code, out, errs := command(t.Context(), nil, append([]string{"rfc2544"}, strings.Fields(tt.args)...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, tt.says) {
			t.Errorf("rfc2544 %s: exit code %d, %q, want %q", tt.args, code, errs, tt.says)
		}
	}
}

// TestRFC2544AsksForForeignTargets: towards a router the target must be somebody's who is meant.
func TestRFC2544AsksForForeignTargets(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rfc2544", BothKernel: true})
	args := []string{"rfc2544", "-i", lab.Stack.Interface, "--reflected", "--target", "203.0.113.1", "--target-mac", "02:00:00:00:00:01",
		"--line-rate", "fast"}
	code, _, errs := inside(t.Context(), lab, nil, args...)
	if code != exitUsage || !strings.Contains(errs, "--i-own-this-network") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	code, _, errs = inside(t.Context(), lab, nil, append(args, "--allow", "203.0.113.0/24")...)
	if code != exitUsage || !strings.Contains(errs, "--line-rate") {
		t.Errorf("exit code %d: %s; want the next question, after the medium's rate", code, errs)
	}
}
