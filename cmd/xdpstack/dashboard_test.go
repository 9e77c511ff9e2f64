package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// pictureVariable says where TestDashboard writes pictures of the dashboard, if it is set.
const pictureVariable = "XDPSTACK_PICTURES"

// watchedServe runs serve, with the dashboard at an address, until stop is called.
func watchedServe(t *testing.T, lab *netlab.Lab, at string) (url, socket string, stop func()) {
	t.Helper()
	log := &output{}
	socket = filepath.Join(t.TempDir(), "s")
	args := append([]string{"serve", "--socket", socket, "http", "--body", "4000", "--shield", "auto", "--web", at}, linkArgs(lab)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code := -1
		_ = lab.Stack.Do(func() error { // code tells
			code = run(ctx, args, streams{out: log, err: log})
			return nil
		})
		done <- code
	}()
	stop = func() {
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("serve: exit code %d\n%s", code, log)
		}
		done <- exitOK
	}
	t.Cleanup(stop)
	log.waitFor(t, "msg=ready")
	return regexp.MustCompile(`url=(http://\S+)/`).FindStringSubmatch(log.String())[1], socket, stop
}

// request keeps requests going, every 5 ms one, on one connection, which is opened again when the server has gone.
func request(ctx context.Context, lab *netlab.Lab) {
	client := &http.Client{Transport: &http.Transport{DialContext: lab.Kernel.DialContext}, Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		if resp, err := client.Get("http://" + address(lab, 80) + "/"); err == nil {
			var body bytes.Buffer
			_, _ = body.ReadFrom(resp.Body) // what comes is not of interest
			resp.Body.Close()
		}
	}
}

// A browser shows what happens, goes on when the server is started again, and asks nobody else.
func TestDashboard(t *testing.T) {
	needs(t, "chromium", "nsenter")
	lab := netlab.ForTest(t, netlab.Config{Name: "dash", Queues: 2})
	url, socket, stop := watchedServe(t, lab, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	requested := make(chan struct{})
	go func() { defer close(requested); request(ctx, lab) }()
	defer func() { cancel(); <-requested }()
	var held []net.Conn
	for range 4 {
		c, err := lab.Kernel.Dial("tcp", address(lab, 80))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	for range 3 {
		if c, err := lab.Kernel.Dial("tcp", address(lab, 4444)); err == nil {
			c.Close()
			t.Fatal("somebody listens there")
		}
	}
	denied(t, lab, socket)
	b := startBrowser(t, lab, url)
	b.open()
	b.becomes(textOf("#defence"), has("Shield auto: 0 a second answered"))
	b.becomes(textOf("#defence"), has("Filter with rules, without limits"))
	b.becomes(textOf("#pressure tbody tr"), has("waits"))
	b.becomes("[...document.querySelectorAll('#drops tbody tr')].map(r => r.cells[0].textContent).join()", has("steer_dropped_denied"))
	b.showsTraffic(held[0].LocalAddr().String())
	if dir := os.Getenv(pictureVariable); dir != "" {
		b.pictures(dir)
	}
	stop()
	b.becomes(textOf("#state"), has("no answer"))
	watchedServe(t, lab, strings.TrimPrefix(url, "http://"))
	b.becomes(textOf("#state"), is("serving"))
	b.becomes(tile("connections"), between(1, 2)) // a request that was given up may have left one
	b.becomes(tile("packets-a-second"), between(50, 1200))
	b.behaved()
}

// What is served can have counters of its own.
func TestDashboardOfProxy(t *testing.T) {
	needs(t, "chromium", "nsenter")
	lab := netlab.ForTest(t, netlab.Config{Name: "dashp"})
	log, _ := running(t, lab, "proxy", "--listen", ":80", "--to", "stack:"+lab.Kernel.Address.Addr().String()+":9", "--web", "127.0.0.1:0")
	for range 3 {
		if c, err := lab.Kernel.Dial("tcp", address(lab, 80)); err == nil {
			c.Close() // nobody listens at the target: it is reset, if it was not yet
		}
	}
	b := startBrowser(t, lab, regexp.MustCompile(`url=(http://\S+)/`).FindStringSubmatch(log.String())[1])
	b.open()
	row := func(name string) string {
		return "[...document.querySelectorAll('#app tbody tr')].find(r => r.cells[0].textContent == '" + name + "')"
	}
	b.becomes(row("proxy_accepted")+"?.cells[2].textContent", is("3"))
	b.becomes(row("proxy_accepted")+"?.cells[1].textContent", is("0")) // a second
	b.becomes(row("proxy_refused")+"?.cells[2].textContent", is("3"))
	b.becomes(row("proxy_open")+"?.cells[1].textContent", is("–")) // no count
	b.becomes("document.getElementById('served').hidden", is("false"))
	b.behaved()
}

// showsTraffic checks what the page shows of what TestDashboard does.
func (b *browser) showsTraffic(peer string) {
	rows := func(table string) string { return "document.querySelectorAll('#" + table + " tbody tr')" }
	b.becomes(textOf("#state"), is("serving"))
	b.becomes(tile("connections"), is("5")) // four that are held, and one with requests
	b.becomes(tile("link"), is("up"))
	b.becomes("document.getElementById('served').hidden", is("true"))
	// 200 requests a second at most, each of a packet, its answer of three, and what acknowledges them.
	b.becomes(tile("packets-a-second"), between(50, 1200))
	b.becomes(tile("handshake"), has("s"))
	refused := "[..." + rows("drops") + "].find(r => r.cells[0].textContent == 'drop_no_listener')"
	b.becomes(refused+"?.cells[2].textContent", is("3"))
	b.becomes(refused+"?.querySelector('em').textContent", has("nothing is served on"))
	b.becomes(rows("queues")+".length", is("2"))
	b.becomes(rows("conns")+".length", is("5"))
	b.becomes("[..."+rows("steer")+"].map(r => r.cells[0].textContent)", has("redirected: tcp"))
	b.becomes("document.querySelectorAll('#charts svg path[d*=L]').length", is("13")) // each line of each chart
	b.becomes("[...document.querySelectorAll('table')].every(t => t.caption)", is("true"))
	b.becomes("[...document.querySelectorAll('#charts svg title')].every(t => /[0-9]/.test(t.textContent))", is("true"))

	b.do(chromedp.SendKeys("#filter", peer+" estab"))
	b.becomes(rows("conns")+".length", is("1"))
	b.becomes(textOf("#conns tbody td"), is(peer))
	b.becomes("(f => { f.value = ''; return f.dispatchEvent(new Event('input')) })(document.getElementById('filter'))", is("true"))
	b.do(chromedp.Click("#theme"), chromedp.Click("#theme"))
	b.becomes("document.documentElement.dataset.theme", is("dark"))
}
