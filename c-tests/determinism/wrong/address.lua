-- A host function that answers an address.
-- caught in: address
-- named: _G.handles.texture
handles = {}
function frame(n)
  handles.texture = host_address()
end
