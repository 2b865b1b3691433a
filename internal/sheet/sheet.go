// Package sheet reads and writes tables: CSV in, CSV and XLSX out. It is a leaf
// that knows rows of text and no business.
package sheet
