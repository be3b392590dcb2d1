// The Explorer's own words; node and widget names are in locales/.

const WORDS = {
  en: {
    heatmap: 'Heatmap',
    mask: 'Mask',
    segmentation: 'Segments',
    opacity: 'Opacity of the drawing over the picture',
    previous: 'Previous picture (up)',
    next: 'Next picture (down)',
    select: 'Add to what is selected, or take away (Shift and click does the same)',
    row: 'Hover here to see where it is, click to select it',
    background: 'background list',
    stage: 'Hover here to see what the model took a spot for, click to select it. Left and right: the next concept. Enter: select it.',
    empty: 'Run the workflow, and explore its concepts here.',
    gone: 'ComfyUI no longer has these maps: run the workflow again.',
    given: 'What is selected comes from another node: change it there.',
    earlier: 'These maps are of an earlier run.',
    failed: (where) => (where ? `The run failed at ${where}: ` : ''),
    unknown: (names) => `Not among the concepts, and left out of the mask: ${names}.`,
    nothing: 'Nothing is selected: the mask that comes out is empty.',
    absent: (names) => `Nothing is found of ${names} here.`,
  },
  zh: {
    heatmap: '热力图',
    mask: '遮罩',
    segmentation: '分割',
    opacity: '叠加在图片上的不透明度',
    previous: '上一张图片（上方向键）',
    next: '下一张图片（下方向键）',
    select: '加入已选概念或从中去掉（按住 Shift 点击效果相同）',
    row: '悬停查看它的位置，点击选择',
    background: '背景列表',
    stage: '悬停查看模型把这一处看作什么，点击选择。左右方向键：切换概念。回车键：选择。',
    empty: '运行工作流后，在这里探索各个概念。',
    gone: 'ComfyUI 已不再保存这些概念图：请重新运行工作流。',
    given: '所选概念来自另一个节点：请在那里修改。',
    earlier: '这些概念图来自之前的运行。',
    failed: (where) => (where ? `运行在 ${where} 处失败：` : ''),
    unknown: (names) => `不在概念之中，遮罩不包含：${names}。`,
    nothing: '没有选择任何概念：输出的遮罩为空。',
    absent: (names) => `这里找不到 ${names}。`,
  },
}

export function wordsOf(locale) {
  return WORDS[locale.toLowerCase().startsWith('zh') ? 'zh' : 'en']
}
