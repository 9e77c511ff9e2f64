package vm

import (
	"fmt"
	"io"
	"path"
)

// Types of files in an archive, as stat's mode has them.
const (
	cpioDirectory = 0o040000
	cpioRegular   = 0o100000
	cpioCharacter = 0o020000
	cpioSymlink   = 0o120000
)

// archive writes an initramfs: a cpio archive in "newc" format, see Documentation/driver-api/early-userspace/buffer-format.rst of
// the kernel. Directories are made as files need them. The kernel unpacks several archives one after the other.
type archive struct {
	out   io.Writer
	inode uint32
	n     int64 // bytes written
	made  map[string]bool
	err   error
}

func newArchive(out io.Writer) *archive { return &archive{out: out, made: make(map[string]bool)} }

// add writes an entry. The name is without a leading slash.
func (a *archive) add(name string, mode uint32, content []byte, major, minor uint32) {
	if dir := path.Dir(name); dir != "." && !a.made[dir] {
		a.directory(dir)
	}
	a.entry(name, mode, content, major, minor)
}

func (a *archive) directory(name string) {
	if a.made[name] {
		return
	}
	a.made[name] = true
	a.add(name, cpioDirectory|0o755, nil, 0, 0)
}

func (a *archive) file(name string, mode uint32, content []byte) {
	a.add(name, cpioRegular|mode, content, 0, 0)
}

func (a *archive) symlink(name, to string) { a.add(name, cpioSymlink|0o777, []byte(to), 0, 0) }

func (a *archive) character(name string, major, minor uint32) {
	a.add(name, cpioCharacter|0o600, nil, major, minor)
}

func (a *archive) entry(name string, mode uint32, content []byte, major, minor uint32) {
	a.inode++
	inode := a.inode
	if name == trailer {
		inode = 0
	}
	// Magic; inode, mode, owner, group, links, time, size; device of the file, device that it is; length of the name; no
	// checksum.
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad(4)
	a.write(content)
	a.pad(4)
}

const trailer = "TRAILER!!!"

// close ends the archive, padded so that another can follow, and returns the first error that there was.
func (a *archive) close() error {
	a.entry(trailer, 0, nil, 0, 0)
	a.pad(512)
	return a.err
}

func (a *archive) pad(to int64) { a.write(make([]byte, (to-a.n%to)%to)) }

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.out.Write(b)
	a.n, a.err = a.n+int64(n), err
}
