# make check is what .ci/run calls and what a change must pass.
.PHONY: help check generate diff vet lint test race conformance bench bench-full bench-export

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

check: generate diff vet lint test ## generate, diff, vet, lint, go test -timeout 30m ./...

generate: ## the executor, the models and the printed contract from graph/schema
	go tool gqlgen generate
	go run . schema > schema.graphqls

diff: ## generated files are committed as they are generated
	git diff --exit-code -- graph schema.graphqls go.mod go.sum

vet: ## go vet
	go vet ./...

lint: ## gofmt, and staticcheck from its own module
	@test -z "$$(gofmt -l $$(git ls-files '*.go' | grep -v _gen.go))" || { gofmt -l $$(git ls-files '*.go' | grep -v _gen.go); exit 1; }
	go tool -modfile=tools/go.mod staticcheck ./...

test: ## all tests; nothing needs to run
	go test -timeout 30m ./...

race: ## all tests with the race detector
	go test -race ./...

conformance: ## the npm audit suites against a started server
	go build -o switchboard . && cd conformance && npm ci --no-audit --no-fund && node all.mjs ../switchboard

bench: ## every benchmark, once
	go test -run '^$$' -bench . -benchtime 2s ./...

bench-full: ## the reads and the search at a million calls and messages, and the dashboard
	SWITCHBOARD_BENCH_CALLS=1000000 go test -run '^$$' -bench 'Reads|Search' -benchtime 5s -timeout 60m ./internal/bench
	SWITCHBOARD_BENCH_CALLS=1000000 go test -run '^$$' -bench Dashboard -benchtime 50x -timeout 30m ./internal/report

bench-export: ## a million calls to CSV and XLSX, in memory that does not grow
	EXPORT_ROWS=1000000 go test -run '^$$' -bench Rows -benchtime 1x -timeout 60m ./internal/export
