package vm

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entries reads an archive back: "mode name (major,minor): content", in order.
func entries(t *testing.T, b []byte) (all []string) {
	t.Helper()
	have := map[string]bool{".": true}
	for {
		header := b[:110]
		field := func(i int) int {
			n, err := strconv.ParseUint(string(header[6+8*i:14+8*i]), 16, 32)
			if err != nil || string(header[:6]) != "070701" {
				t.Fatalf("header %q", header)
			}
			return int(n)
		}
		size, name := field(6), string(b[110:110+field(11)-1])
		at := (110 + field(11) + 3) &^ 3
		content := b[at : at+size]
		b = b[(at+size+3)&^3:]
		if name == trailer {
			if len(bytes.Trim(b, "\x00")) > 0 {
				t.Errorf("%d bytes after the trailer", len(b))
			}
			return all
		}
		if dir := path.Dir(name); !have[dir] {
			t.Errorf("%s comes before its directory", name)
		}
		have[name] = true
		all = append(all, fmt.Sprintf("%o %s (%d,%d): %s", field(1), name, field(9), field(10), content))
	}
}

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("a/b/c", 0o755, []byte("12345"))
	a.file("a/b/d", 0o644, nil)
	a.character("dev/null", 1, 3)
	a.symlink("a/l", "/b")
	if err := a.close(); err != nil || b.Len()%512 != 0 {
		t.Fatalf("%v; %d bytes", err, b.Len())
	}
	want := []string{
		"40755 a (0,0): ", "40755 a/b (0,0): ", "100755 a/b/c (0,0): 12345", "100644 a/b/d (0,0): ", "40755 dev (0,0): ",
		"20600 dev/null (1,3): ", "120777 a/l (0,0): /b",
	}
	if got := entries(t, b.Bytes()); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// TestBase has in the archive what a first process needs, and the modules in the order in which they can be loaded.
func TestBase(t *testing.T) {
	var b bytes.Buffer
	if err := writeBase(newArchive(&b), []module{{name: "failover", code: []byte("1")}, {name: "virtio_net", code: []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(entries(t, b.Bytes()), "\n")
	for _, want := range []string{"20600 dev/console (5,1): ", "40755 proc (0,0): ", "modules/00-failover.ko (0,0): 1\n", "modules/01-virtio_net.ko (0,0): 2"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestModuleOrder(t *testing.T) {
	depends := map[string][]string{
		"virtio_net": {"net_failover", "failover"}, "net_failover": {"failover"}, "failover": nil, "igb": {"i2c-algo-bit", "dca"},
		"i2c_algo_bit": nil, "dca": nil, "a": {"b"}, "b": {"a"},
	}
	all, err := inOrder([]string{"virtio-net", "igb", "virtio_net", "builtin", "a"}, func(name string) (*module, error) {
		d, ok := depends[name]
		if !ok {
			return nil, nil
		}
		return &module{name: name, depends: d}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.name)
	}
	if got := strings.Join(names, " "); got != "failover net_failover virtio_net i2c_algo_bit dca igb b a" {
		t.Errorf("order %s", got)
	}
	if _, err := inOrder([]string{"x"}, func(string) (*module, error) { return nil, fmt.Errorf("unreadable") }); err == nil {
		t.Error("a module that cannot be read was left out")
	}
}

func TestNotAModule(t *testing.T) {
	if _, err := dependencies([]byte("text")); err == nil {
		t.Error("text has dependencies")
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{"/a/i2c-algo-bit.ko.xz": "i2c_algo_bit", "igb.ko": "igb", "virtio_net": "virtio_net"} {
		if got := moduleName(file); got != want {
			t.Errorf("%s: %s", file, got)
		}
	}
}
