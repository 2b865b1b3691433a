package message_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"switchboard/internal/message"
)

func TestFilesAreKnownByTheirContent(t *testing.T) { // R144
	t.Parallel()
	box := func(brand string) string { return "\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x00\x00isommp42" }
	bmp := "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00"
	webm := "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84"
	for name, c := range map[string]struct{ head, want string }{
		"JPEG":              {"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"},
		"PNG":               {"\x89PNG\r\n\x1a\n\x00", "image/png"},
		"GIF 87":            {"GIF87a\x01", "image/gif"},
		"GIF 89":            {"GIF89a\x01", "image/gif"},
		"WebP":              {"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"},
		"WAV":               {"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"},
		"AVI":               {"RIFF\x00\x00\x00\x00AVI LIST", ""},
		"TIFF, Intel":       {"II*\x00\x08", "image/tiff"},
		"TIFF, Motorola":    {"MM\x00*\x00", "image/tiff"},
		"BMP":               {bmp, "image/bmp"},
		"BM in a text":      {"BMW service due", "text/plain"},
		"HEIC":              {box("heic"), "image/heic"},
		"HEIF":              {box("mif1"), "image/heic"},
		"AVIF":              {box("avif"), ""},
		"M4A":               {box("M4A "), "audio/mp4"},
		"MP4":               {box("isom"), "video/mp4"},
		"MP4 of a phone":    {box("mp42"), "video/mp4"},
		"3GP":               {box("3gp5"), "video/3gpp"},
		"3G2":               {box("3g2a"), "video/3gpp2"},
		"MOV":               {box("qt  "), "video/quicktime"},
		"old MOV":           {"\x00\x00\x00\x08wide\x00\x00", "video/quicktime"},
		"unknown brand":     {box("zzzz"), ""},
		"WebM":              {webm + "webm", "video/webm"},
		"Matroska":          {webm + "matroska", ""},
		"Ogg":               {"OggS\x00\x02", "audio/ogg"},
		"AMR":               {"#!AMR\n\x3c", "audio/amr"},
		"AMR wide":          {"#!AMR-WB\n\x3c", "audio/amr"},
		"MP3 with tag":      {"ID3\x03\x00", "audio/mpeg"},
		"MP3":               {"\xff\xfb\x90\x64", "audio/mpeg"},
		"no frame":          {"\xff\xff\xff\xff", ""},
		"AAC":               {"\xff\xf1\x50\x80\x00\x1f\xfc", "audio/aac"},
		"PDF":               {"%PDF-1.7\n", "application/pdf"},
		"vCard":             {"BEGIN:VCARD\r\nVERSION:3.0\r\n", "text/vcard"},
		"calendar":          {"\xef\xbb\xbfBEGIN:VCALENDAR\r\n", "text/calendar"},
		"text":              {"Gate code 1234\n", "text/plain"},
		"Cyrillic":          {"Привет", "text/plain"},
		"cut character":     {"Привет"[:11], "text/plain"},
		"empty":             {"", ""},
		"blank":             {" \n", ""},
		"page":              {"<!DOCTYPE html><html>", ""},
		"page after space":  {" \n<HTML>", ""},
		"page in a text":    {"hello <script>alert(1)</script>", ""},
		"picture that runs": {"<svg xmlns=\"http://www.w3.org/2000/svg\">", ""},
		"XML":               {"<?xml version=\"1.0\"?><svg>", ""},
		"PHP":               {"<?php system('x');", ""},
		"shell script":      {"#!/bin/sh\nrm -rf /", ""},
		"batch file":        {"@echo off\r\ndel *", ""},
		"Windows program":   {"MZ\x90\x00\x03", ""},
		"Linux program":     {"\x7fELF\x02\x01", ""},
		"Mac program":       {"\xcf\xfa\xed\xfe\x07", ""},
		"Java class":        {"\xca\xfe\xba\xbe\x00\x00", ""},
		"archive":           {"PK\x03\x04\x14\x00", ""},
		"PostScript":        {"%!PS-Adobe", ""},
		"RTF":               {"{\\rtf1\\ansi", ""},
		"UTF-16":            {"\xff\xfeH\x00i\x00", ""},
		"Latin-1":           {"Gr\xfc\xdfe aus K\xf6ln", ""},
		"zero bytes":        {"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		"short":             {"\xff\xd8", ""},
		"RIFF of nothing":   {"RIFF", "text/plain"},
		"box cut short":     {"\x00\x00\x00\x18ftyp", ""},
	} {
		got, ok := message.SniffMedia([]byte(c.head))
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: got %q %v, want %q", name, got, ok, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "head")
		if kind, ok := message.SniffMedia(head); ok && (kind == "" || strings.Contains(kind, "html")) {
			t.Fatalf("%q is %q", head, kind)
		}
	})
}

func TestAFileIsOfTheSortThatItWasSaidToBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why, declared, found string
		want                 bool
	}{
		"same":              {"", "image/jpeg", "image/jpeg", true},
		"other name":        {"", "image/jpg", "image/jpeg", true},
		"capitals":          {"", "Image/JPEG; name=a.jpg", "image/jpeg", true},
		"other picture":     {"carriers turn one into another", "image/jpeg", "image/png", true},
		"nothing said":      {"", "", "image/png", true},
		"octets":            {"says nothing", "application/octet-stream", "video/mp4", true},
		"picture for PDF":   {"", "application/pdf", "image/png", false},
		"text for picture":  {"", "image/jpeg", "text/plain", false},
		"SVG":               {"never a picture here", "image/svg+xml", "image/png", false},
		"voice in 3GP":      {"phones record so", "audio/3gpp", "video/3gpp", true},
		"voice in MP4":      {"", "audio/mp4", "video/mp4", true},
		"film without film": {"", "video/mp4", "audio/mp4", true},
		"film for picture":  {"", "image/gif", "video/mp4", false},
		"AMR":               {"", "audio/amr-nb", "audio/amr", true},
		"other audio":       {"", "audio/mpeg", "audio/ogg", true},
		"ogg":               {"", "application/ogg", "audio/ogg", true},
		"card":              {"", "text/x-vcard", "text/vcard", true},
		"card for text":     {"", "text/plain", "text/vcard", false},
		"table":             {"a table is text", "text/csv", "text/plain", true},
		"page":              {"", "text/html", "text/plain", false},
		"found nothing":     {"", "image/jpeg", "", false},
	} {
		if got := message.SameKind(c.declared, c.found); got != c.want {
			t.Errorf("%s: %q and %q: %v (%s)", name, c.declared, c.found, got, c.why)
		}
	}
}
