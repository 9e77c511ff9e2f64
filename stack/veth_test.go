package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openOnVeth opens a stack on the one end of a veth pair, or on a given card; the kernel's TCP is on the other.
func openOnVeth(t testing.TB, lab netlab.Config, cfg Config) (*Stack, *netlab.Lab) {
	t.Helper()
	l := netlab.ForTest(t, lab)
	return openInLab(t, l, cfg), l
}

// openInLab opens a stack on the stack's side of a lab, and returns when both sides have their link.
func openInLab(t testing.TB, l *netlab.Lab, cfg Config) *Stack {
	t.Helper()
	cfg.Interface, cfg.Address = l.Stack.Interface, l.Stack.Address
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(p netip.Prefix, port int) string { return fmt.Sprintf("%v:%d", p.Addr(), port) }

// drivers are the AF_XDP drivers that every test with the kernel runs over.
var drivers = []string{"native", "asavie"}

func forEachDriver(t *testing.T, lab netlab.Config, test func(t *testing.T, s *Stack, l *netlab.Lab)) {
	for _, d := range drivers {
		t.Run(d, func(t *testing.T) {
			cfg := Config{}
			cfg.AFXDP.Driver = d
			s, l := openOnVeth(t, lab, cfg)
			test(t, s, l)
		})
	}
}

func TestKernelPings(t *testing.T) {
	forEachDriver(t, netlab.Config{}, func(t *testing.T, s *Stack, l *netlab.Lab) {
		for _, size := range []string{"56", "1472", "8000"} {
			out, err := l.Kernel.Command(context.Background(), "ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", size,
				s.Address().Addr().String()).CombinedOutput()
			if _, missing := exec.LookPath("ping"); missing != nil {
				t.Skip("no ping command; install iputils-ping")
			}
			if err != nil || !strings.Contains(string(out), " 0% packet loss") {
				t.Errorf("size %s: %v\n%s", size, err, out)
			}
		}
	})
}

// TestKernelTransfers sends data to an echo on the stack from the kernel's TCP and back, and compares.
func TestKernelTransfers(t *testing.T) {
	forEachDriver(t, netlab.Config{}, func(t *testing.T, s *Stack, l *netlab.Lab) {
		if _, err := s.Handle(":7", &slowEcho{}); err != nil {
			t.Fatal(err)
		}
		c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		const size = 32 << 20
		sent, got := sha256.New(), sha256.New()
		go func() {
			buf := make([]byte, 64<<10)
			for n := 0; n < size; n += len(buf) {
				for i := range buf {
					buf[i] = byte(n>>16) + byte(i*i>>3)
				}
				sent.Write(buf)
				if _, err := c.Write(buf); err != nil {
					t.Errorf("write: %v", err)
					return
				}
			}
			c.(*net.TCPConn).CloseWrite()
		}()
		start := time.Now()
		n, err := io.Copy(got, c)
		if err != nil || n != size {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		t.Logf("%d MiB there and back in %v", size>>20, time.Since(start))
		if string(got.Sum(nil)) != string(sent.Sum(nil)) {
			t.Error("the echo differs")
		}
	})
}

func TestKernelHTTPClient(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{}, Config{})
	ln, err := s.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.URL.Path)
	})}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: l.Kernel.DialContext}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for i := range 100 {
		resp, err := client.Get(fmt.Sprintf("http://%s/%d", addr(s.Address(), 80), i))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprintf("hello /%d", i); string(b) != want {
			t.Fatalf("got %q, want %q", b, want)
		}
	}
}

// TestDialToKernel is the active side: the stack's net.Conn against the kernel's listener.
func TestDialToKernel(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{}, Config{})
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 80))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: s.DialContext}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	body := strings.Repeat("0123456789abcdef", 1<<16)
	resp, err := client.Post("http://"+addr(l.Kernel.Address, 80)+"/", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != body || err != nil {
		t.Errorf("got %d bytes, %v; want %d", len(b), err, len(body))
	}
}

func TestAddressInUseOnTheLink(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{})
	cfg := Config{Interface: l.Stack.Interface, Address: l.Kernel.Address}
	err := l.Stack.Do(func() error {
		s, err := Open(cfg)
		if err == nil {
			s.Close()
		}
		return err
	})
	if !errors.Is(err, ErrAddressInUse) || !strings.Contains(err.Error(), l.Kernel.Address.Addr().String()) {
		t.Errorf("got %v, want ErrAddressInUse that names the address", err)
	}
}

func TestLinkDownAndUp(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{}, Config{})
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	echo := func() {
		t.Helper()
		buf := make([]byte, 5)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("got %q, %v", buf, err)
		}
	}
	echo()
	if err := l.Stack.SetDown(); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("lost?"))
	time.Sleep(300 * time.Millisecond)
	if err := l.Stack.SetUp(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "lost?" {
		t.Fatalf("after the link came back: %q, %v", buf, err)
	}
	echo()
}

func TestShardsOnCPUs(t *testing.T) {
	if s, _ := openOnVeth(t, netlab.Config{Queues: 2}, Config{CPUs: []int{0}}); !slices.Equal(s.CPUs(), []int{0, -1}) {
		t.Errorf("shards on CPUs %v, want 0 and any", s.CPUs())
	}
	if s, _ := openOnVeth(t, netlab.Config{}, Config{}); !slices.Equal(s.CPUs(), []int{-1}) {
		t.Errorf("a shard on veth, which has no interrupts, is bound to CPU %v", s.CPUs())
	}
	l := netlab.ForTest(t, netlab.Config{})
	err := l.Stack.Do(func() error {
		s, err := Open(Config{Interface: l.Stack.Interface, Address: l.Stack.Address, CPUs: []int{1000}})
		if err == nil {
			s.Close()
		}
		return err
	})
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "CPU 1000") {
		t.Errorf("got %v, want EINVAL that names the CPU", err)
	}
}
