// Package show turns a report into what people look at: one table for the terminal, and a chart as SVG.
package show
