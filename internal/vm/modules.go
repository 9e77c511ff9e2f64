package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// guestModules are the drivers that tests use, and what lets the kernel show its sockets.
var guestModules = []string{"virtio_net", "igb", "veth", "tun", "dummy", "bridge", "xsk_diag", "udp_diag", "tcp_diag", "8021q"}

// module is a kernel module, decompressed.
type module struct {
	name    string
	depends []string
	code    []byte
}

// moduleName is a module's name by its file's: dashes and underscores are the same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// collectModules reads the named modules and all that they depend on, each after those that it depends on. A name without a file
// is built into the kernel, or not there: the guest fails at once without its network cards, and tests say what else they miss.
func collectModules(ctx context.Context, dir string, names []string) ([]module, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".ko") {
			files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("vm: modules: %w", err)
	}
	return inOrder(names, func(name string) (*module, error) {
		path, ok := files[name]
		if !ok {
			return nil, nil
		}
		code, err := decompress(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("vm: module %s: %w", name, err)
		}
		depends, err := dependencies(code)
		if err != nil {
			return nil, fmt.Errorf("vm: module %s: %w", name, err)
		}
		return &module{name: name, depends: depends, code: code}, nil
	})
}

// inOrder reads modules, each after those that it depends on.
func inOrder(names []string, read func(name string) (*module, error)) ([]module, error) {
	var all []module
	seen := make(map[string]bool)
	var add func(names []string) error
	add = func(names []string) error {
		for _, name := range names {
			name = moduleName(name)
			if seen[name] {
				continue
			}
			seen[name] = true
			m, err := read(name)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			if err := add(m.depends); err != nil {
				return err
			}
			all = append(all, *m)
		}
		return nil
	}
	return all, add(names)
}

// dependencies are the modules that one depends on, which its section .modinfo names.
func dependencies(code []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	info := f.Section(".modinfo")
	if info == nil {
		return nil, fmt.Errorf("no module: it has no .modinfo")
	}
	text, err := info.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(text, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok {
			return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" }), nil
		}
	}
	return nil, nil
}
