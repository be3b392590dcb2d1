// The template browser lists a pack's workflows as the server's disk gives them. Ours begin with a number: in their order.

import { api } from '../../scripts/api.js'

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split('/').at(-2))
const { getWorkflowTemplates } = api

api.getWorkflowTemplates = async function () {
  const found = await getWorkflowTemplates.call(this)
  found[PACK]?.sort()
  return found
}
