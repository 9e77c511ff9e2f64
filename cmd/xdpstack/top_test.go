package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/internal/web"
)

// looks gives look after look, each a second later, with more of everything.
type looks struct {
	n             int
	order, filter string
	err           error
}

func (l *looks) ask(_ context.Context, order, filter string) (web.Live, error) {
	l.order, l.filter = order, filter
	l.n++
	n := uint64(l.n)
	live := web.Live{
		Time: time.Unix(1000+int64(l.n), 0), PID: 4711, Started: time.Unix(1, 0), Interface: "eth0", Address: "192.0.2.10/24",
		Status: web.Status{Ready: true, State: web.Serving}, Open: 30, CPU: float64(n) / 2,
		Values: map[string]uint64{"rx_frames": 1500 * n, "rx_batches": 100 * n, "tcp_listen_accepted": 7 * n},
		Drops:  []web.Drop{{Name: "drop_conn_limit", Value: 3 * n, Help: "connections refused", Cure: "raise MaxConns"}},
		RTT:    &web.Percentiles{Count: 3, P50: time.Millisecond, P99: 2 * time.Millisecond, Max: 3 * time.Millisecond},
	}
	for i := range 8 {
		live.Queues = append(live.Queues, snapshot.Queue{Number: i, Mode: snapshot.Copy, CPU: -1, QueueCounters: snapshot.QueueCounters{Received: n * 100}})
	}
	for i := range 30 {
		live.Top = append(live.Top, web.Connection{
			Local: netip.MustParseAddrPort("192.0.2.10:80"), Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 999),
			State: "ESTABLISHED", InRate: 1000,
		})
	}
	live.Shield, live.Filter = "auto", &snapshot.Filter{SYNs: snapshot.Rate{PerSecond: 100}}
	live.Queues[3].Pressed, live.Queues[3].Pressure = true, 700
	live.Values["steer_answered_syn_cookie"], live.Values["steer_dropped_denied"], live.Values["relay_sent"] = 40*n, 5*n, 6*n
	return live, l.err
}

// press gives a model keys and whatever follows from them at once.
func press(m *topModel, keys ...string) (quits bool) {
	for _, k := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		for name, t := range map[string]tea.KeyType{"esc": tea.KeyEsc, "enter": tea.KeyEnter, "ctrl+c": tea.KeyCtrlC, "backspace": tea.KeyBackspace} {
			if k == name {
				msg = tea.KeyMsg{Type: t}
			}
		}
		_, cmd := m.Update(msg)
		if cmd == nil {
			continue
		}
		next := cmd()
		if _, ok := next.(tea.QuitMsg); ok {
			return true
		}
		m.Update(next)
	}
	return false
}

func TestTopModel(t *testing.T) {
	l := &looks{}
	m := newTopModel(&topCommand{interval: time.Second, order: "rate"}, l.ask)
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	if v := m.View(); !strings.Contains(v, "asking") {
		t.Errorf("before there is anything:\n%s", v)
	}
	m.Update(m.Init()())
	again := func() {
		_, cmd := m.Update(tickMsg(m.round))
		if cmd == nil {
			t.Fatal("no look follows")
		}
		m.Update(cmd())
	}
	again()
	v := m.View()
	for _, want := range []string{
		"192.0.2.10/24 on eth0, process 4711", "serving", "in 1.50k packets/s", "15 packets a batch", "7 accepted/s", "50 % of a CPU",
		"median 1ms", "drop_conn_limit", "→ raise MaxConns", "203.0.113.0:999", "8.00k", "s sort: rate",
	} {
		if !strings.Contains(v, want) {
			t.Errorf("no %q in:\n%s", want, v)
		}
	}
	if n := strings.Count(v, "\n") + 1; n != 40 {
		t.Errorf("%d lines on a terminal of 40:\n%s", n, v)
	}

	for _, height := range []int{24, 12, 5, 2, 1, 0} {
		m.Update(tea.WindowSizeMsg{Width: 80, Height: height})
		if n := strings.Count(m.View(), "\n") + 1; n > max(height, 2) {
			t.Errorf("%d lines on a terminal of %d", n, height)
		}
	}
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})

	press(m, "s")
	if l.order != "in" || !strings.Contains(m.View(), "s sort: in") || !strings.Contains(m.View(), "bits in ▾") {
		t.Errorf("after s: asked for %s:\n%s", l.order, m.View())
	}
	press(m, "/8x", "backspace", "0")
	if !strings.Contains(m.View(), "only connections with: 80") || l.filter != "" {
		t.Errorf("while a filter is typed:\n%s", m.View())
	}
	press(m, "enter")
	if l.filter != "80" || !strings.Contains(m.View(), "only: 80") {
		t.Errorf("with a filter %q:\n%s", l.filter, m.View())
	}
	press(m, "esc")
	if l.filter != "" {
		t.Errorf("without a filter: %q", l.filter)
	}
	press(m, "?")
	if !strings.Contains(m.View(), "sort connections by the next") {
		t.Errorf("help:\n%s", m.View())
	}
	press(m, "?", "p")
	asked := l.n
	if _, cmd := m.Update(tickMsg(m.round)); cmd != nil || !strings.Contains(m.View(), "stopped") {
		t.Errorf("it goes on although it is stopped:\n%s", m.View())
	}
	if press(m, "p"); l.n != asked+1 {
		t.Error("it does not go on")
	}
	if _, cmd := m.Update(tickMsg(m.round - 1)); cmd != nil {
		t.Error("a timer that is out of date has it ask")
	}
	l.err = errors.New("no process\nhas its socket there")
	again()
	if v := m.View(); !strings.Contains(v, "no process has its socket") || !strings.Contains(v, "drop_conn_limit") {
		t.Errorf("after a failure:\n%s", v)
	}
	l.err = nil
	if again(); strings.Contains(m.View(), "no process") {
		t.Errorf("after the failure:\n%s", m.View())
	}
	if !press(m, "q") || !press(m, "ctrl+c") {
		t.Error("it does not quit")
	}
}

func TestPrefixed(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7: "7", 0.5: "0.50", 12.34: "12.3", 123.4: "123", 999: "999", 1000: "1.00k", 999.9: "1.00k", 1234: "1.23k", 99_950: "100k", 5.5e6: "5.50M",
		2e9: "2.00G", 3e13: "30.0T",
	} {
		if got := prefixed(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestTopOfAServer(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "top", Queues: 2})
	_, socket := server(t, lab, "http", "--body", "2000")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); request(ctx, lab) }()
	defer func() { cancel(); <-done }()

	code, out, errs := command(t.Context(), nil, "top", "--socket", socket, "--once", "--interval", "300ms")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{lab.Stack.Address.String(), "serving", "peer ▾", "10.77.0.1:", "ESTABLISHED", "copied", "packets a batch"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	code, out, errs = command(t.Context(), nil, "top", "--socket", socket, "--once", "--json", "--interval", "300ms", "--filter", "nothing-has-this")
	var line topLine
	if code != exitOK || json.Unmarshal([]byte(out), &line) != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	if line.Rates.Packets.In < 50 || len(line.Rates.Queues) != 2 || len(line.Now.Top) != 0 || line.Now.Seen == 0 {
		t.Errorf("%+v", line)
	}
	t.Run("on a terminal", func(t *testing.T) { topOnTerminal(t, socket) })
	for _, args := range [][]string{{"--interval", "1ms"}, {"--sort", "colour"}, {"1", "2"}, {}} {
		args = append([]string{"top", "--socket", socket}, args...)
		if code, out, errs := command(t.Context(), nil, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
	}
}

// topOnTerminal runs top as people do, on a terminal whose size changes.
func topOnTerminal(t *testing.T, socket string) {
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	master, terminal := openTerminal(t)
	cmd := exec.CommandContext(t.Context(), path, "top", "--socket", socket, "--interval", "250ms")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen := &output{}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := master.Read(buf)
			_, _ = screen.Write(buf[:n])
			// Bubble Tea asks the terminal about itself, and waits for the answers.
			if bytes.Contains(buf[:n], []byte("\x1b]11;?")) {
				_, _ = master.WriteString("\x1b]11;rgb:0000/0000/0000\x1b\\")
			}
			if bytes.Contains(buf[:n], []byte("\x1b[6n")) {
				_, _ = master.WriteString("\x1b[1;1R")
			}
			if err != nil {
				return
			}
		}
	}()
	typed := func(keys string) {
		if _, err := master.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	screen.waitFor(t, "sent again")
	screen.waitFor(t, "s sort: rate")
	typed("s")
	screen.waitFor(t, "s sort: in")
	typed("?")
	screen.waitFor(t, "this, and back")
	typed("?")
	setSize(t, master, 10, 60)
	typed("/nothing-has-this\r")
	screen.waitFor(t, "only: nothing-has-this")
	typed("q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after q: %v\n%q", err, screen.String())
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v, %v", after, err)
	}
	screen.waitFor(t, "\x1b[?1049l") // back from the alternate screen
	screen.waitFor(t, "\x1b[?25h")   // with the cursor
}

// openTerminal makes a terminal of 24 lines, and returns both its ends.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	setSize(t, master, 24, 100)
	return master, terminal
}

func setSize(t *testing.T, terminal *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

func TestTopShowsTheDefence(t *testing.T) {
	var l looks
	before, _ := l.ask(t.Context(), "", "")
	now, _ := l.ask(t.Context(), "", "")
	rates, ok := web.RatesOf(&before, &now)
	if !ok {
		t.Fatal("no rates")
	}
	head := topHead(&now, &rates)
	for _, want := range []string{
		"shield auto, queue 3 under pressure (700 SYNs); filter without rules, 100 SYNs/s of a source; answered 40/s, cookies back 0/s, refused 0/s, filtered 5/s\n",
		"6 packets/s are relayed",
	} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in:\n%s", want, head)
		}
	}
	now.Shield, now.Filter = "", nil
	if head := topHead(&now, &rates); strings.Contains(head, "shield") || strings.Contains(head, "filter") {
		t.Errorf("without both:\n%s", head)
	}
}
