package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// noted is what a browser had to say.
type noted struct {
	mu       sync.Mutex
	away     []string // requests that left the origin
	errors   []string
	requests int
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests++
		if !strings.HasPrefix(e.Request.URL, b.origin+"/") {
			b.away = append(b.away, e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprintf("console.%s", e.Type))
		for _, arg := range e.Args {
			b.errors = append(b.errors, fmt.Sprintf("  %s %s", arg.Value, arg.Description))
		}
	case *log.EventEntryAdded:
		// While the server is away its port refuses.
		if e.Entry.Source != log.EntrySourceNetwork || !strings.Contains(e.Entry.Text, "ERR_CONNECTION_REFUSED") {
			b.errors = append(b.errors, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// browser is a headless Chromium in the namespace of a lab's stack, in which there is nothing but the lab.
type browser struct {
	*testing.T
	ctx    context.Context
	origin string
	noted
}

func startBrowser(t *testing.T, lab *netlab.Lab, origin string) *browser {
	t.Helper()
	b := &browser{T: t, origin: origin}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	inside := chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		c := lab.Stack.Command(ctx, cmd.Path, cmd.Args[1:]...)
		cmd.Path, cmd.Args = c.Path, c.Args
	})
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WindowSize(1280, 1000), inside)...)
	t.Cleanup(cancel)
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Listen(b.ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(b.ctx, log.Enable, cdp.Empty{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) open() { b.do(chromedp.Navigate(b.origin + "/")) }

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// becomes waits until a script's result, as a text, is what is wanted.
func (b *browser) becomes(script string, wanted func(string) bool) {
	b.Helper()
	var got string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		if got, err = chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+script+")")); err != nil {
			b.Fatalf("%s: %v", script, err)
		}
		if wanted(got) {
			return
		}
	}
	b.Errorf("%s is %q", script, got)
}

// behaved checks that the page made no errors, and asked nobody but its server.
func (b *browser) behaved() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests < 5 {
		b.Errorf("only %d requests were seen", b.requests)
	}
	for _, url := range b.away {
		b.Errorf("a request left the server: %s", url)
	}
	for _, e := range b.errors {
		b.Errorf("the browser says: %s", e)
	}
}

// pictures writes what the page looks like, light and dark, after a while.
func (b *browser) pictures(dir string) {
	time.Sleep(100 * time.Second)
	for _, theme := range []string{"light", "dark"} {
		b.do(chromedp.EmulateViewport(1280, 1000))
		b.becomes("document.documentElement.dataset.theme = '"+theme+"'", is(theme))
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			picture, err = smaller(picture)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "dashboard-"+theme+".png"), picture, 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// smaller makes a PNG of the 256 colours that a picture has most of.
func smaller(picture []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	count := make(map[color.Color]int)
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			count[from.At(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	to := image.NewPaletted(from.Bounds(), most[:min(len(most), 256)])
	draw.Draw(to, to.Bounds(), from, image.Point{}, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}

// What a text is to be.

func is(want string) func(string) bool { return func(got string) bool { return got == want } }
func has(part string) func(string) bool {
	return func(got string) bool { return strings.Contains(got, part) }
}
func textOf(selector string) string {
	return fmt.Sprintf("document.querySelector(%q)?.textContent", selector)
}
func tile(name string) string { return textOf("#tile-" + name + " dd span") }
func between(lo, hi float64) func(string) bool {
	return func(got string) bool {
		var v float64
		_, err := fmt.Sscan(got, &v)
		return err == nil && lo <= v && v <= hi
	}
}
