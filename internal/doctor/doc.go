// Package doctor looks at a machine, and at one of its interfaces, and says what stands between them and xdpstack: each [Finding] is
// one fact with a verdict and, unless all is well, one line of what to do.
//
// Gathering a fact and judging it are separate functions, so that every verdict is tested without the machine that would give it.
package doctor
