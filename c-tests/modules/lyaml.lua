-- lyaml: parsers, scanners and emitters in the middle of a document.
local lyaml = require 'lyaml'
local yaml = require 'yaml'

function frame(n)
    local text = lyaml.dump {{frame = n, list = {1, 2, 'three'}}}
    trace[#trace + 1] = #text
    collect()
    trace[#trace + 1] = lyaml.load(text).frame
    local events = yaml.parser 'a: 1\nb: [x, y]\n'
    trace[#trace + 1] = events().type
    state[n] = events
    local old = state[n - 2]
    if old then
        pcall(old)
        if n % 2 == 0 then state[n - 2] = nil end
    end
    local leaked = yaml.scanner '{q: [1, 2'
    leaked()
    collect()
    local emitter = yaml.emitter()
    emitter.emit {type = 'STREAM_START'}
    emitter.emit {type = 'DOCUMENT_START'}
    emitter.emit {type = 'SCALAR', value = 'frame' .. n}
    emitter.emit {type = 'DOCUMENT_END'}
    if n % 2 == 0 then
        local _, out = emitter.emit {type = 'STREAM_END'}
        trace[#trace + 1] = #out
    end
    state.scanner = state.scanner or yaml.scanner 'a: 1\nb: 2\nc: 3\nd: 4\n'
    pcall(state.scanner)
    if n == 6 then state.scanner = nil end
    assert(not pcall(lyaml.load, '{broken'))
    collect()
end
