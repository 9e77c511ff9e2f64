// Package backlog keeps what a handler was given and cannot deal with yet, in the frames that it came in.
package backlog
