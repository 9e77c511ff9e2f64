package bpf

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Exported is what a program's files are, in their order: the program itself, its link if it is attached, the lock of its pin if it has
// one, its maps.
type Exported struct {
	Config  Config
	Cookie  uint32   // of the hints
	Ifindex int      // of the interface that it is attached to; 0: none
	Pinned  bool     // the link is, in Config.Pin
	Maps    []string // names, in the order of the C source's objects
}

// ErrExported says that files and description do not make a program.
var ErrExported = errors.New("not a steering program that this version knows")

// Export returns the program's files, which the caller closes, and what they are. Who has them can Adopt the program, without any
// privilege since Linux 5.19: map operations on an open file need none. The link stays attached as long as one of both has it open.
func (p *Program) Export() (e Exported, files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	e = Exported{Config: p.cfg, Cookie: p.cookie, Ifindex: p.ifindex}
	add := func(what string, fd int) {
		f, dup := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if dup != nil {
			err = errors.Join(err, fmt.Errorf("bpf: export %s: %w", what, dup))
			return
		}
		files = append(files, os.NewFile(uintptr(f), what))
	}
	add("the program", p.objects.XdpSteer.FD())
	if p.link != nil {
		l, ok := p.link.(interface{ FD() int })
		if !ok {
			return e, files, errors.New("bpf: export the link: it has no file")
		}
		add("the link", l.FD())
	}
	if p.pin != nil {
		e.Pinned = true
		add("the lock of the pinned link", int(p.pin.lock.Fd()))
	}
	for _, m := range p.maps() {
		e.Maps = append(e.Maps, m.name)
		add("map "+m.name, (*m.field).FD())
	}
	return e, files, err
}

// Files returns how many files belong to the program.
func (e *Exported) Files() int {
	n := 1 + len(e.Maps)
	if e.Ifindex != 0 {
		n++
	}
	if e.Pinned {
		n++
	}
	return n
}

// Adopt makes a Program of what Export returned, in whatever process. It closes none of the files. The error matches ErrExported if the
// other side is of a version whose maps are others.
func Adopt(e Exported, files []*os.File) (*Program, error) {
	p := &Program{cfg: e.Config, cookie: e.Cookie}
	p.filter.replaced = time.Now() // by the other process, as far as is known here
	maps := p.maps()
	if len(files) != e.Files() || len(e.Maps) != len(maps) {
		return nil, fmt.Errorf("bpf: adopt: %w: %d files, and maps %v", ErrExported, len(files), e.Maps)
	}
	if err := p.adopt(&e, files, maps); err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: adopt: %w", err), p.Close())
	}
	return p, nil
}

func (p *Program) adopt(e *Exported, files []*os.File, maps []namedMap) error {
	fd, err := duplicate(files[0])
	if err != nil {
		return err
	}
	if p.objects.XdpSteer, err = ebpf.NewProgramFromFD(fd); err != nil {
		return err
	}
	files = files[1:]
	if e.Ifindex != 0 {
		if fd, err = duplicate(files[0]); err != nil {
			return err
		}
		if p.link, err = link.NewFromFD(fd); err != nil {
			return err
		}
		p.ifindex = e.Ifindex
		files = files[1:]
	}
	if e.Pinned {
		if fd, err = duplicate(files[0]); err != nil {
			return err
		}
		p.pin = &pin{dir: e.Config.Pin, lock: os.NewFile(uintptr(fd), e.Config.Pin)}
		files = files[1:]
	}
	for i, m := range maps {
		if e.Maps[i] != m.name {
			return fmt.Errorf("%w: map %s in place of %s", ErrExported, e.Maps[i], m.name)
		}
		if fd, err = duplicate(files[i]); err != nil {
			return err
		}
		if *m.field, err = ebpf.NewMapFromFD(fd); err != nil {
			return fmt.Errorf("map %s: %w", m.name, err)
		}
	}
	return p.openShared()
}

// duplicate returns a descriptor that cilium/ebpf may own.
func duplicate(f *os.File) (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3) }

type namedMap struct {
	name  string
	field **ebpf.Map
}

// maps returns the fields of the program's maps, whatever maps the C source has.
func (p *Program) maps() []namedMap {
	v := reflect.ValueOf(&p.objects.steerMaps).Elem()
	all := make([]namedMap, v.NumField())
	for i := range all {
		all[i] = namedMap{v.Type().Field(i).Tag.Get("ebpf"), v.Field(i).Addr().Interface().(**ebpf.Map)}
	}
	return all
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
